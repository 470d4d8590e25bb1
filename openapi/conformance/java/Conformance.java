import com.fasterxml.jackson.databind.node.NullNode;
import com.fasterxml.jackson.databind.util.RawValue;
import headwater.management.api.KeysApi;
import headwater.management.api.SessionsApi;
import headwater.management.model.Grant;
import headwater.management.model.KeyQuotas;
import headwater.management.model.KeySpec;
import headwater.management.model.Scope;
import headwater.management.model.SignIn;
import headwater.streaming.ApiClient;
import headwater.streaming.ApiException;
import headwater.streaming.api.GroupsApi;
import headwater.streaming.api.RecordsApi;
import headwater.streaming.api.TopicsApi;
import headwater.streaming.model.GroupPosition;
import headwater.streaming.model.GroupSpec;
import headwater.streaming.model.HeaderValues;
import headwater.streaming.model.JoinRequest;
import headwater.streaming.model.Joined;
import headwater.streaming.model.Outcome;
import headwater.streaming.model.PollRequest;
import headwater.streaming.model.PollResponse;
import headwater.streaming.model.Problem;
import headwater.streaming.model.ProduceRequest;
import headwater.streaming.model.ProduceResponse;
import headwater.streaming.model.RecordInput;
import headwater.streaming.model.RecordOutput;
import headwater.streaming.model.ResetEnd;
import headwater.streaming.model.ResetPartition;
import headwater.streaming.model.ResetRequest;
import headwater.streaming.model.ResetTo;
import headwater.streaming.model.TopicRecords;
import headwater.streaming.model.TopicSpec;
import java.net.URI;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;

/** Holds the generated Java client against a running service: see ../README.md for what each check is. */
public final class Conformance {
    private static final String EXACT = "{\"id\":12345678901234567890123, \"price\":1.10}";
    private static final String URL = System.getenv("HEADWATER_URL");
    private static final ApiClient CLIENT = connect(System.getenv("HEADWATER_KEY"));
    private static final RecordsApi RECORDS = new RecordsApi(CLIENT);
    private static final TopicsApi TOPICS = new TopicsApi(CLIENT);

    private interface Check {
        void run() throws Exception;
    }

    private interface Call {
        Object run() throws ApiException;
    }

    public static void main(String[] arguments) throws Exception {
        run("produce", Conformance::produce);
        run("repeat", Conformance::repeat);
        run("kill", Conformance::kill);
        run("tail", Conformance::tail);
        run("errors", Conformance::errors);
        run("limit", Conformance::limit);
        run("groups", Conformance::groups);
        System.exit(0); // a tail's connection is still open
    }

    private static void run(String name, Check check) throws Exception {
        check.run();
        System.out.println("ok " + name);
    }

    private static void produce() throws Exception {
        TOPICS.ensureTopic("java-values", null, new TopicSpec().partitions(1));
        RecordInput bytes = new RecordInput().keyBase64(base64(0xff, 0)).valueBase64(base64(0, 0xfe));
        send("java-values", "java-first", List.of(
                record("a").value(new RawValue(EXACT)).headers(Map.of("trace", HeaderValues.of("1", "2"))),
                bytes,
                record("a").value(NullNode.getInstance())));

        List<RecordOutput> read = readAll("java-values");
        equal(text(read.get(0)), EXACT);
        equal(read.get(0).getHeadersBase64().get("trace").values().size(), 2);
        equal(read.get(1).getKeyBase64(), bytes.getKeyBase64());
        equal(read.get(1).getValueBase64(), bytes.getValueBase64());
        equal(read.get(2).getValueBase64(), null);
    }

    private static void repeat() throws Exception {
        ProduceResponse first = send("java-values", "java-again", List.of(record("raw").valueText("once")));
        ProduceResponse again = send("java-values", "java-again", List.of(record("raw").valueText("once")));
        equal(first.getDuplicate(), false);
        equal(again.getDuplicate(), true);
        equal(again.getResults(), first.getResults());
        List<RecordInput> other = List.of(record("raw").valueText("something else"));
        problem(() -> send("java-values", "java-again", other), 422, "idempotency_key_reused");
    }

    /** Has the broker killed between and under produce calls: each record is there once, in order. */
    private static void kill() throws Exception {
        TOPICS.ensureTopic("java-kill", null, new TopicSpec().partitions(3));
        CompletableFuture<Integer> restarted = CompletableFuture.supplyAsync(() -> {
            try {
                return System.in.read();
            } catch (java.io.IOException broken) {
                throw new java.io.UncheckedIOException(broken);
            }
        });
        System.out.println("kill the broker");
        int sent = 0;
        for (int left = 10; left > 0; left -= restarted.isDone() ? 1 : 0) {
            List<RecordInput> batch = new ArrayList<>();
            for (int i = 0; i < 50; i++, sent++) batch.add(record("k" + sent % 7).value(sent));
            sendUntilAnswered("java-kill", "java-batch-" + sent, batch);
        }

        List<Integer> numbers = readAll("java-kill").stream().map(record -> Integer.valueOf(text(record))).toList();
        equal(numbers.size(), sent);
        equal(new HashSet<>(numbers).size(), sent);
        for (int key = 0; key < 7; key++) {
            int wanted = key;
            List<Integer> ofKey = numbers.stream().filter(number -> number % 7 == wanted).toList();
            equal(ofKey, ofKey.stream().sorted().toList());
        }
    }

    /** Repeats one batch under its key, by `retryable` and `outcome` alone. */
    private static void sendUntilAnswered(String topic, String key, List<RecordInput> batch) throws Exception {
        for (long waitMs = 10; ; waitMs = Math.min(2 * waitMs, 1000)) {
            try {
                send(topic, key, batch);
                return;
            } catch (ApiException refused) {
                // Without a problem there was no answer: nobody knows, and the key makes a repeat safe.
                if (refused.getResponseBody() != null) {
                    Problem found = problemOf(refused);
                    if (!found.getRetryable() || found.getOutcome() == Outcome.APPLIED) throw refused;
                }
            }
            Thread.sleep(waitMs);
        }
    }

    /** Reads NDJSON line by line: the generated call would wait for an end. */
    private static void tail() throws Exception {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(URL + "/topics/java-values/tail.ndjson?from=tail-1"));
        CLIENT.getRequestInterceptor().accept(request);
        Iterator<String> lines = CLIENT.getHttpClient()
                .send(request.build(), HttpResponse.BodyHandlers.ofLines()).body().iterator();
        for (String wanted : List.of("once", "live")) {
            String found = null;
            while (found == null) { // the other lines are cursors
                found = CLIENT.getObjectMapper().readTree(lines.next()).path("value_text").textValue();
            }
            equal(found, wanted);
            send("java-values", "java-live", List.of(record("tail").valueText("live")));
        }
    }

    private static void errors() throws Exception {
        TopicsApi stranger = new TopicsApi(connect("hw_no_such_key"));
        problem(() -> stranger.listTopics(null, null), 401, "unauthenticated");
        problem(() -> TOPICS.getTopic("java-none"), 404, "topic_not_found");
        Problem beyond = problem(() -> fetch(1_000_000L, null), 416, "offset_out_of_range");
        equal(beyond.getLogStart(), 0L);
        equal(beyond.getHighWatermark() > 3, true);
        Problem none = problem(() -> fetch(null, 0), 400, "invalid_request");
        equal(none.getErrors().get(0).getPointer(), "max_records");
    }

    /** A key of its own, made over the management API, that may call once a second. */
    private static void limit() throws Exception {
        headwater.management.ApiClient owner = new headwater.management.ApiClient();
        owner.updateBaseUri(URI.create(URL).resolve("/v1").toString());
        SignIn signIn = new SignIn().email(System.getenv("SIGN_IN_EMAIL")).password(System.getenv("SIGN_IN_PASSWORD"));
        String token = new SessionsApi(owner).createSession(signIn).getAccessToken();
        owner.setRequestInterceptor(request -> request.header("Authorization", "Bearer " + token));
        KeySpec spec = new KeySpec()
                .addScopesItem(new Scope().addOperationsItem(Grant.DESCRIBE).topic("*"))
                .quotas(new KeyQuotas().requestsPerSecond(1L));
        String secret = new KeysApi(owner).putKey("demo", "java-slow", spec, null, null).getSecret();

        TopicsApi slow = new TopicsApi(connect(secret));
        Problem over = problem(() -> {
            while (true) slow.listTopics(null, null);
        }, 429, "quota_exceeded");
        equal(over.getRetryable(), true);
        equal(over.getRetryAfterMs() > 0, true);
    }

    /** A member is taken over by another instance, which reads what was not committed, and commits it. */
    private static void groups() throws Exception {
        TOPICS.ensureTopic("java-group", null, new TopicSpec().partitions(2));
        List<RecordInput> records = new ArrayList<>();
        for (int n = 0; n < 200; n++) records.add(record("k" + n % 7).value(n));
        send("java-group", "java-group", records);
        GroupsApi groups = new GroupsApi(CLIENT);
        groups.ensureGroup("java-group", new GroupSpec().addTopicsItem("java-group"));
        PollRequest first = join(groups, "first");
        PollRequest second = join(groups, "second");
        problem(() -> groups.pollGroup("java-group", "worker", first), 409, "member_fenced");
        for (int read = 0; read < 200; ) {
            PollResponse page = groups.pollGroup("java-group", "worker", second);
            read += page.getRecords().size();
            second.epoch(page.getEpoch()).commit(page.getCursor());
        }
        groups.pollGroup("java-group", "worker", second);
        groups.leaveGroup("java-group", "worker", null);
        for (GroupPosition position : groups.listGroupOffsets("java-group").getPositions()) equal(position.getLag(), 0L);
        ResetRequest back = new ResetRequest().to(new ResetTo(ResetEnd.EARLIEST)).dryRun(true);
        for (ResetPartition partition : groups.resetGroupOffsets("java-group", back).getPartitions()) {
            equal(partition.getAfter(), 0L);
        }
    }

    private static PollRequest join(GroupsApi groups, String instance) throws ApiException {
        Joined joined = groups.joinGroup("java-group", "worker", new JoinRequest().instance(instance));
        return new PollRequest().epoch(joined.getEpoch());
    }

    private static ApiClient connect(String key) {
        ApiClient client = new ApiClient();
        client.updateBaseUri(URL);
        client.setRequestInterceptor(request -> request.header("Authorization", "Bearer " + key));
        return client;
    }

    private static RecordInput record(String key) {
        return new RecordInput().key(key);
    }

    private static ProduceResponse send(String topic, String key, List<RecordInput> records) throws ApiException {
        return RECORDS.produceRecords(topic, new ProduceRequest().records(records), key);
    }

    private static Object fetch(Long offset, Integer maxRecords) throws ApiException {
        return RECORDS.fetchPartition("java-values", 0, offset, null, null, maxRecords, null, null, null, null, null);
    }

    /** All records of a topic; `encoding=base64` keeps every byte. */
    private static List<RecordOutput> readAll(String topic) throws ApiException {
        List<RecordOutput> records = new ArrayList<>();
        String cursor = null;
        while (true) {
            String from = cursor == null ? "earliest" : null;
            TopicRecords page = RECORDS.fetchTopic(topic, cursor, null, from, 100, null, null, null, "base64", null);
            if (page.getRecords().isEmpty()) return records;
            records.addAll(page.getRecords());
            cursor = page.getCursor();
        }
    }

    private static String text(RecordOutput record) {
        return new String(Base64.getDecoder().decode(record.getValueBase64()));
    }

    private static String base64(int... bytes) {
        byte[] narrow = new byte[bytes.length];
        for (int i = 0; i < bytes.length; i++) narrow[i] = (byte) bytes[i];
        return Base64.getEncoder().encodeToString(narrow);
    }

    private static Problem problemOf(ApiException refused) throws Exception {
        return CLIENT.getObjectMapper().readValue(refused.getResponseBody(), Problem.class);
    }

    private static Problem problem(Call call, int status, String code) throws Exception {
        ApiException refused = null;
        try {
            call.run();
        } catch (ApiException expected) {
            refused = expected;
        }
        if (refused == null) throw new AssertionError("expected " + code);
        Problem found = problemOf(refused);
        equal(List.of(refused.getCode(), found.getStatus(), found.getCode()), List.of(status, status, code));
        equal(found.getOutcome(), Outcome.NOT_APPLIED);
        return found;
    }

    private static void equal(Object found, Object wanted) {
        if (!java.util.Objects.equals(found, wanted)) throw new AssertionError(found + " instead of " + wanted);
    }
}
