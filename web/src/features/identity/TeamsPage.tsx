import { Button, Group, MultiSelect, Stack, Textarea, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { IconUsersGroup } from "@tabler/icons-react";
import type { Team } from "../../api/types";
import type { Begun } from "../../ui/Editing";
import { done, refuse } from "../../ui/notify";
import { useMay } from "./api";
import { NamedThings } from "./NamedThings";
import { readTeam, useDeleteTeam, useMembers, useNames, useSaveTeam, useTeamMember, useTeams } from "./peopleApi";

/** Teams: permissions such as call:read:team reach what belongs to them. */
export function TeamsPage() {
  const names = useNames();
  const people = ({ members }: Team) =>
    members.every((id) => names.has(id)) && members.length < 6
      ? members.map((id) => names.get(id)).join(", ") || "Nobody"
      : members.length;
  return (
    <NamedThings
      one="team"
      title="Teams"
      lead="People who work together. A role can be narrowed to what belongs to one's team."
      icon={<IconUsersGroup size={22} />}
      empty={{
        title: "No teams yet",
        text: "Small organisations need none. Make one when not everybody should see every call.",
      }}
      query={useTeams()}
      column={{ title: "People", of: people }}
      remove={{
        text: "Its people stay. What only the team could see is seen by those with a wider role.",
        by: useDeleteTeam(),
      }}
      read={readTeam}
      form={(close, begun) => <TeamForm begun={begun} close={close} />}
    />
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
