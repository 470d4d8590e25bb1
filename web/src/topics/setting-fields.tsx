import { Field, Select } from "../ui/field";
import { NumberInput } from "./number-input";
import type { Setting, TopicConfig } from "./setting-names";

interface SettingFieldsProps {
  settings: Setting[];
  config: TopicConfig;
  onChange: (change: TopicConfig) => void;
  /** Whether a setting may be left to the service's default. */
  withDefault?: boolean;
}

/** A control for each of these settings. */
export function SettingFields({ settings, config, onChange, withDefault }: SettingFieldsProps) {
  return settings.map((setting) =>
    "choices" in setting ? (
      <Field key={setting.name} label={setting.label} help={setting.help}>
        <Select
          value={config[setting.name] ?? ""}
          onChange={(event) => onChange({ [setting.name]: event.target.value || undefined })}
        >
          {withDefault && <option value="">Default ({setting.choices[0]![1].toLowerCase()})</option>}
          {setting.choices.map(([value, text]) => (
            <option key={value} value={value}>
              {text}
            </option>
          ))}
        </Select>
      </Field>
    ) : (
      <NumberInput
        key={setting.name}
        setting={setting}
        withDefault={withDefault}
        value={config[setting.name]}
        onChange={(value) => onChange({ [setting.name]: value })}
      />
    ),
  );
}
