import { NumberInput, SimpleGrid } from "@mantine/core";
import { kinds, type LimitFields } from "./limits";

/** Fields for the limits of a plan or an organisation. */
export function LimitInputs(props: {
  value: LimitFields;
  onChange: (value: LimitFields) => void;
  placeholder?: string;
}) {
  return (
    <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="sm">
      {kinds.map(({ key, label }) => (
        <NumberInput
          key={key}
          label={key === "storageBytes" ? `${label}, GB` : label}
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
