import { Button, Group, SimpleGrid, Stack, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import type { Account } from "../../api/types";
import { type Begun, Editing } from "../../ui/Editing";
import { words } from "../../ui/format";
import { done, refuse } from "../../ui/notify";
import { Section } from "../../ui/Section";
import { readMe, useChangeName } from "./accountApi";

/** Who one is. The name is one's own to choose; the address is what one signs in with. */
export function Profile({ account }: { account: Account }) {
  return (
    <Section title="Profile">
      {account.step === "enrol" ? (
        <Facts account={account} named />
      ) : (
        <Editing of={["me"]} read={readMe} rows={2} stays>
          {(begun) => (
            <Stack>
              <Name begun={begun} />
              <Facts account={account} />
            </Stack>
          )}
        </Editing>
      )}
    </Section>
  );
}

function Name({ begun }: { begun: Begun<Account> }) {
  const change = useChangeName();
  const form = useForm({
    initialValues: { name: begun.value.user.name },
    validate: { name: (v) => (v.trim() ? null : "What are you called?") },
  });
  const submit = form.onSubmit(async (v) => {
    const name = v.name.trim();
    try {
      await begun.save({ user: { ...begun.value.user, name } }, (tag) => change.mutateAsync({ tag, name }));
      done("Saved.");
    } catch (e) {
      refuse(form, e);
    }
  });
  return (
    <form noValidate onSubmit={submit}>
      <Group align="flex-end" gap="sm">
        <TextInput
          label="Name"
          autoComplete="name"
          required
          maxLength={120}
          style={{ flex: "1 1 220px", maxWidth: 420 }}
          {...form.getInputProps("name")}
        />
        <Button type="submit" loading={change.isPending} disabled={!form.isDirty()}>
          Save
        </Button>
      </Group>
    </form>
  );
}

function Facts({ account, named }: { account: Account; named?: boolean }) {
  return (
    <SimpleGrid cols={{ base: 1, sm: named ? 2 : 3 }}>
      {named && <Fact name="Name" value={account.user.name || "–"} />}
      <Fact name="E-mail" value={account.user.email} />
      <Fact name="Organisation" value={account.organisation.name} />
      <Fact name="Role" value={words(account.roleName)} />
    </SimpleGrid>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <Text size="sm" c="dimmed">
        {name}
      </Text>
      <Text style={{ overflowWrap: "anywhere" }}>{value}</Text>
    </div>
  );
}
