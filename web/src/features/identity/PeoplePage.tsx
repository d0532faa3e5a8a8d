import { Badge, Button, Group, Stack, Table, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconUserPlus } from "@tabler/icons-react";
import { useState } from "react";
import type { Member, Role } from "../../api/types";
import { when } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { More } from "../../ui/More";
import { Page } from "../../ui/Page";
import { Section } from "../../ui/Section";
import { ShownOnce } from "../../ui/ShownOnce";
import { Loaded } from "../../ui/states";
import { useMay, useMe } from "./api";
import { Invitations, InviteDialog } from "./Invitations";
import { MemberMenu } from "./MemberMenu";
import { useMembers, useRoles, useTeams } from "./peopleApi";

/** A link that is handed over by hand, because no mail is sent. */
export type Handed = { title: string; link: string; for: string };

/** Who belongs to the organisation, and who is asked to. */
export function PeoplePage() {
  const may = useMay();
  const members = useMembers();
  const roles = useRoles(may("role:read"));
  const [inviting, dialog] = useDisclosure(false);
  const [handed, hand] = useState<Handed | null>(null);
  const invite = may("invitation:create") && may("role:read") && (
    <Button leftSection={<IconUserPlus size={16} />} onClick={dialog.open}>
      Invite
    </Button>
  );
  return (
    <Page title="People" lead="Who works here, and what their role lets them do." actions={invite}>
      <Section title="Members">
        <Loaded query={members}>
          {(data) => (
            <Stack>
              <Members members={data.items} roles={roles.data?.items ?? []} hand={hand} />
              <More query={members} />
            </Stack>
          )}
        </Loaded>
      </Section>
      {may("invitation:read") && <Invitations roles={roles.data?.items ?? []} hand={hand} />}
      <InviteDialog opened={inviting} close={dialog.close} roles={roles.data?.items ?? []} hand={hand} />
      <ShownOnce
        title={handed?.title ?? ""}
        secret={handed?.link ?? null}
        label="the link"
        close={() => hand(null)}
        why={`No mail is set up here, so hand this link to ${handed?.for} yourself, by a way that nobody else reads. It is not shown again.`}
      />
    </Page>
  );
}

function Members({ members, roles, hand }: { members: Member[]; roles: Role[]; hand: (h: Handed) => void }) {
  const { data: me } = useMe();
  const may = useMay();
  const teams = useTeams(may("team:read"));
  const teamName = (id: string) => teams.data?.items.find((t) => t.id === id)?.name ?? "";
  return (
    <Listing minWidth={640}>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Name</Table.Th>
          <Table.Th>Role</Table.Th>
          <Table.Th>Teams</Table.Th>
          <Table.Th>Joined</Table.Th>
          <Table.Th aria-label="Actions" />
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {members.map((m) => (
          <Table.Tr key={m.userId}>
            <Table.Td>
              <Group gap="xs">
                <Text fw={600} size="sm">
                  {m.name || m.email}
                </Text>
                {m.userId === me?.user.id && <Badge>you</Badge>}
                {m.suspendedAt && <Badge color="red">suspended</Badge>}
              </Group>
              {m.name && (
                <Text size="xs" c="dimmed">
                  {m.email}
                </Text>
              )}
            </Table.Td>
            <Table.Td>{m.roleName}</Table.Td>
            <Table.Td>{m.teams.map(teamName).filter(Boolean).join(", ") || "–"}</Table.Td>
            <Table.Td>{when(m.joinedAt)}</Table.Td>
            <Table.Td ta="right">
              {m.userId !== me?.user.id && <MemberMenu member={m} roles={roles} hand={hand} />}
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Listing>
  );
}
