import { Button, Group, Modal, MultiSelect, Paper, Stack, Table, Textarea, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { IconPlus, IconUsersGroup } from "@tabler/icons-react";
import { useState } from "react";
import type { Team } from "../../api/types";
import { type Begun, Editing } from "../../ui/Editing";
import { Listing } from "../../ui/Listing";
import { confirm, done, failed, refuse } from "../../ui/notify";
import { Page } from "../../ui/Page";
import { Empty, Loaded } from "../../ui/states";
import { useMay } from "./api";
import { readTeam, useDeleteTeam, useMembers, useNames, useSaveTeam, useTeamMember, useTeams } from "./peopleApi";

/** Teams: permissions such as call:read:team reach what belongs to them. */
export function TeamsPage() {
  const may = useMay();
  const teams = useTeams();
  const [open, setOpen] = useState<Team | "new" | null>(null);
  const add = may("team:create") && (
    <Button leftSection={<IconPlus size={16} />} onClick={() => setOpen("new")}>
      New team
    </Button>
  );
  return (
    <Page
      title="Teams"
      lead="People who work together. A role can be narrowed to what belongs to one's team."
      actions={add}
    >
      <Paper p="md">
        <Loaded query={teams}>
          {(data) =>
            data.items.length === 0 ? (
              <Empty
                icon={<IconUsersGroup size={22} />}
                title="No teams yet"
                text="Small organisations need none. Make one when not everybody should see every call."
                action={add}
              />
            ) : (
              <TeamTable teams={data.items} open={setOpen} />
            )
          }
        </Loaded>
      </Paper>
      <Modal
        opened={open !== null}
        onClose={() => setOpen(null)}
        title={open && open !== "new" ? `Team ${open.name}` : "New team"}
      >
        {open === "new" && <TeamForm close={() => setOpen(null)} />}
        {open && open !== "new" && (
          <Editing of={["team", open.id]} read={readTeam(open.id)}>
            {(begun) => <TeamForm begun={begun} close={() => setOpen(null)} />}
          </Editing>
        )}
      </Modal>
    </Page>
  );
}

function TeamTable({ teams, open }: { teams: Team[]; open: (t: Team) => void }) {
  const may = useMay();
  const names = useNames();
  const remove = useDeleteTeam();
  return (
    <Listing minWidth={520}>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Name</Table.Th>
          <Table.Th>What for</Table.Th>
          <Table.Th>People</Table.Th>
          <Table.Th aria-label="Actions" />
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {teams.map((t) => (
          <Table.Tr key={t.id}>
            <Table.Td fw={600}>{t.name}</Table.Td>
            <Table.Td>{t.description || "–"}</Table.Td>
            <Table.Td>
              {t.members.every((id) => names.has(id)) && t.members.length < 6
                ? t.members.map((id) => names.get(id)).join(", ") || "Nobody"
                : t.members.length}
            </Table.Td>
            <Table.Td>
              <Group gap={4} justify="flex-end" wrap="nowrap">
                {may("team:update") && (
                  <Button size="xs" variant="subtle" onClick={() => open(t)} aria-label={`Change ${t.name}`}>
                    Change
                  </Button>
                )}
                {may("team:delete") && (
                  <Button
                    size="xs"
                    variant="subtle"
                    color="red"
                    aria-label={`Delete ${t.name}`}
                    onClick={() =>
                      confirm({
                        title: `Delete ${t.name}?`,
                        text: "Its people stay. What only the team could see is seen by those with a wider role.",
                        action: "Delete",
                        onConfirm: () =>
                          remove.mutate(t.id, { onSuccess: () => done("The team was deleted."), onError: failed }),
                      })
                    }
                  >
                    Delete
                  </Button>
                )}
              </Group>
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Listing>
  );
}

function TeamForm({ begun, close }: { begun?: Begun<Team>; close: () => void }) {
  const team = begun?.value;
  const may = useMay();
  const save = useSaveTeam();
  const place = useTeamMember();
  const members = useMembers(may("member:read"));
  const form = useForm({
    initialValues: { name: team?.name ?? "", description: team?.description ?? "", members: team?.members ?? [] },
    validate: { name: (v) => (v.trim() ? null : "Give the team a name.") },
  });
  const submit = async ({ name, description, members: chosen }: typeof form.values) => {
    try {
      const mine = { name: name.trim(), description };
      const saved = begun
        ? await begun.save(mine, (tag) => save.mutateAsync({ id: begun.value.id, tag, ...mine }))
        : await save.mutateAsync(mine);
      const before = team?.members ?? [];
      for (const userId of chosen)
        if (!before.includes(userId)) await place.mutateAsync({ id: saved.id, userId, on: true });
      for (const userId of before)
        if (!chosen.includes(userId)) await place.mutateAsync({ id: saved.id, userId, on: false });
      done(team ? "The team was changed." : "The team was made.");
      close();
    } catch (e) {
      refuse(form, e);
    }
  };
  return (
    <form noValidate onSubmit={form.onSubmit(submit)}>
      <Stack>
        <TextInput label="Name" required maxLength={120} data-autofocus {...form.getInputProps("name")} />
        <Textarea label="What for" autosize maxRows={4} maxLength={500} {...form.getInputProps("description")} />
        {may("member:read") && may("team:update") && (
          <MultiSelect
            label="People"
            searchable
            data={(members.data?.items ?? []).map((m) => ({ value: m.userId, label: m.name || m.email }))}
            {...form.getInputProps("members")}
          />
        )}
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={save.isPending || place.isPending}>
            {team ? "Save" : "Make the team"}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
