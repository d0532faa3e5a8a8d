import { NumberInput, SimpleGrid } from "@mantine/core";
import { amount, kinds, type LimitFields, type LimitKey } from "./limits";

/** Fields for the limits of a plan or an organisation. */
export function LimitInputs(props: {
  value: LimitFields;
  onChange: (value: LimitFields) => void;
  placeholder?: string;
  /** How much there is now, where it is known; null: nobody counts it. */
  use?: Record<LimitKey, number | null>;
}) {
  return (
    <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="sm">
      {kinds.map(({ key, label }) => (
        <NumberInput
          key={key}
          label={key === "storageBytes" ? `${label}, GB` : label}
          description={use(props.use?.[key], key)}
          inputWrapperOrder={["label", "input", "description", "error"]}
          placeholder={props.placeholder ?? "No limit"}
          min={0}
          allowDecimal={key === "storageBytes"}
          decimalScale={2}
          value={props.value[key]}
          onChange={(v) => props.onChange({ ...props.value, [key]: typeof v === "number" ? v : "" })}
        />
      ))}
    </SimpleGrid>
  );
}

const use = (n: number | null | undefined, key: LimitKey) =>
  n === null || n === undefined ? undefined : `In use: ${amount(key, n)}`;
