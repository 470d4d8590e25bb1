import { useState } from "react";
import { BYTE_UNITS, bestUnit, TIME_UNITS, type Unit } from "../lib/units";
import { Field, Input, Select } from "../ui/field";
import type { NumberSetting } from "./setting-names";

interface NumberInputProps {
  setting: NumberSetting;
  /** Undefined: the default. Null: none. */
  value: number | null | undefined;
  onChange: (value: number | null | undefined) => void;
  /** Whether the default may be chosen. */
  withDefault?: boolean;
}

const UNITS: Record<NumberSetting["unit"], Unit[]> = {
  time: TIME_UNITS,
  bytes: BYTE_UNITS,
  count: [{ name: "replicas", factor: 1 }],
};

/** A number with its unit, or none, or the default. */
export function NumberInput({ setting, value, onChange, withDefault }: NumberInputProps) {
  const units = UNITS[setting.unit];
  const [unit, setUnit] = useState(() => (value ? bestUnit(value, units) : units.at(-2) ?? units[0]!));
  const [text, setText] = useState(() => (value ? String(value / unit.factor) : ""));
  const mode = value === undefined ? "default" : value === null ? "none" : unit.name;
  const put = (nextText: string, nextUnit: Unit) => {
    setText(nextText);
    setUnit(nextUnit);
    onChange(nextText.trim() === "" ? NaN : Math.round(Number(nextText) * nextUnit.factor));
  };
  const choose = (next: string) => {
    if (next === "default") return onChange(undefined);
    if (next === "none") return onChange(null);
    put(text, units.find((one) => one.name === next)!);
  };
  const typed = mode !== "default" && mode !== "none";
  const wrong = typed && !(Number.isSafeInteger(value) && value! > 0);
  return (
    <Field label={setting.label} help={setting.help} error={wrong ? "A whole number above zero is needed." : null}>
      <div className="flex gap-2">
        {typed && (
          <Input type="number" min={1} step="any" className="!w-24 tabular-nums" value={text} onChange={(event) => put(event.target.value, unit)} />
        )}
        <SelectAlone labelled={typed} label={`Unit of ${setting.label}`} value={mode} onChange={choose}>
          {withDefault && <option value="default">Default</option>}
          {setting.none && <option value="none">{setting.none}</option>}
          {units.map((one) => (
            <option key={one.name}>{one.name}</option>
          ))}
        </SelectAlone>
      </div>
    </Field>
  );
}

interface SelectAloneProps {
  /** Whether the field's label is another control's. */
  labelled: boolean;
  label: string;
  value: string;
  onChange: (value: string) => void;
  children: React.ReactNode;
}

function SelectAlone({ labelled, label, value, onChange, children }: SelectAloneProps) {
  const own = labelled ? { id: undefined, "aria-label": label } : {};
  return (
    <Select {...own} className="!w-auto flex-1" value={value} onChange={(event) => onChange(event.target.value)}>
      {children}
    </Select>
  );
}
