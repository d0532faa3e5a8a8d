import { Badge, Button, Group, Modal, MultiSelect, Stack, Table, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import type { Role, SentInvitation } from "../../api/types";
import { when } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { confirm, done, failed, refuse } from "../../ui/notify";
import { Section } from "../../ui/Section";
import { Loaded } from "../../ui/states";
import { useMay } from "./api";
import { RoleChoice, useGrantable } from "./MemberMenu";
import type { Handed } from "./PeoplePage";
import { useInvitations, useInvite, useResend, useRevokeInvitation, useTeams } from "./peopleApi";

type Props = { roles: Role[]; hand: (h: Handed) => void };

function told(sent: SentInvitation, hand: Props["hand"]) {
  if (sent.shownLink) hand({ title: "The invitation's link", link: sent.shownLink, for: sent.email });
  else done(`An invitation is on its way to ${sent.email}.`);
}

/** Who was asked to join and has not answered. */
export function Invitations({ roles, hand }: Props) {
  const may = useMay();
  const invitations = useInvitations(true);
  const resend = useResend();
  const revoke = useRevokeInvitation();
  const roleName = (id: string) => roles.find((r) => r.id === id)?.name ?? id;
  return (
    <Section title="Open invitations">
      <Loaded query={invitations} rows={1}>
        {(data) =>
          data.items.length === 0 ? (
            <Text size="sm" c="dimmed">
              Nobody is waited for.
            </Text>
          ) : (
            <Listing minWidth={560}>
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>E-mail</Table.Th>
                  <Table.Th>Role</Table.Th>
                  <Table.Th>Link made</Table.Th>
                  <Table.Th>Works until</Table.Th>
                  <Table.Th aria-label="Actions" />
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {data.items.map((i) => (
                  <Table.Tr key={i.id}>
                    <Table.Td fw={600}>{i.email}</Table.Td>
                    <Table.Td>{roleName(i.role)}</Table.Td>
                    <Table.Td>{when(i.sentAt)}</Table.Td>
                    <Table.Td>{i.expired ? <Badge color="gray">ended</Badge> : when(i.expiresAt)}</Table.Td>
                    <Table.Td>
                      <Group gap={4} justify="flex-end" wrap="nowrap">
                        {may("invitation:create") && (
                          <Button
                            size="xs"
                            variant="subtle"
                            aria-label={`New link for ${i.email}`}
                            onClick={() => resend.mutate(i.id, { onSuccess: (s) => told(s, hand), onError: failed })}
                          >
                            New link
                          </Button>
                        )}
                        {may("invitation:delete") && (
                          <Button
                            size="xs"
                            variant="subtle"
                            color="red"
                            aria-label={`Revoke the invitation of ${i.email}`}
                            onClick={() =>
                              confirm({
                                title: `Revoke the invitation of ${i.email}?`,
                                text: "Its link stops working.",
                                action: "Revoke",
                                onConfirm: () =>
                                  revoke.mutate(i.id, { onSuccess: () => done("It was revoked."), onError: failed }),
                              })
                            }
                          >
                            Revoke
                          </Button>
                        )}
                      </Group>
                    </Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Listing>
          )
        }
      </Loaded>
    </Section>
  );
}

export function InviteDialog({ opened, close, roles, hand }: Props & { opened: boolean; close: () => void }) {
  const may = useMay();
  const invite = useInvite();
  const teams = useTeams(may("team:read"));
  const grantable = useGrantable(roles);
  const form = useForm({
    initialValues: { email: "", role: "agent", teams: [] as string[] },
    validate: { email: (v) => (/^\S+@\S+\.\S+$/.test(v) ? null : "An e-mail address looks like name@example.org.") },
  });
  return (
    <Modal opened={opened} onClose={close} title="Invite somebody">
      <form
        noValidate
        onSubmit={form.onSubmit((v) =>
          invite.mutate(v, {
            onSuccess: (sent) => {
              form.reset();
              close();
              told(sent, hand);
            },
            onError: (e) => refuse(form, e),
          }),
        )}
      >
        <Stack>
          <TextInput label="E-mail" type="email" required data-autofocus {...form.getInputProps("email")} />
          <RoleChoice
            roles={grantable}
            value={form.values.role}
            onChange={(role) => form.setFieldValue("role", role)}
            error={form.errors.role as string | undefined}
          />
          {(teams.data?.items.length ?? 0) > 0 && (
            <MultiSelect
              label="Teams"
              data={teams.data?.items.map((t) => ({ value: t.id, label: t.name }))}
              {...form.getInputProps("teams")}
            />
          )}
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              Cancel
            </Button>
            <Button type="submit" loading={invite.isPending}>
              Invite
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
