import { Stack } from "@mantine/core";
import { Page } from "../../ui/Page";
import { useMay } from "../identity/api";
import { DoNotCallLists } from "./DoNotCallLists";
import { Lookup } from "./Lookup";
import { Registers } from "./Registers";

/** Whom nobody calls: lists of one's own, and the public registers. */
export function DoNotCallPage() {
  const may = useMay();
  return (
    <Page
      title="Do not call"
      lead="Numbers that campaigns leave alone. Each call is checked against them at the moment it would be made."
    >
      <Stack gap="lg">
        {may("donotcall:read") && <Lookup />}
        <DoNotCallLists />
        <Registers />
      </Stack>
    </Page>
  );
}
