package headwater.streaming.model;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonValue;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** The values of one header of a record. In JSON a single one stands for itself. */
public record HeaderValues(List<String> values) {
    /** These values. */
    public static HeaderValues of(String... values) {
        return new HeaderValues(List.of(values));
    }

    @JsonCreator
    static HeaderValues fromJson(Object json) {
        return json instanceof List<?> list
                ? new HeaderValues(list.stream().map(String.class::cast).toList())
                : of((String) json);
    }

    @JsonValue
    Object toJson() {
        return values.size() == 1 ? values.get(0) : values;
    }

    /** As the generated models write what they hold into the query of a URL. */
    public String toUrlQueryString(String prefix) {
        return prefix + "=" + URLEncoder.encode(String.join(",", values), StandardCharsets.UTF_8);
    }
}
