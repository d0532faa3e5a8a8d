import { ActionIcon, Button, Group, Menu, Modal, Radio, Stack, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import {
  IconDots,
  IconKey,
  IconLockOpen,
  IconPlayerPause,
  IconPlayerPlay,
  IconShieldOff,
  IconTrash,
} from "@tabler/icons-react";
import { useState } from "react";
import type { Member, Role } from "../../api/types";
import { type Begun, Editing } from "../../ui/Editing";
import { confirm, done, failed } from "../../ui/notify";
import { useMay, useMe } from "./api";
import type { Handed } from "./PeoplePage";
import {
  readMember,
  useChangeMember,
  usePermissions,
  useRemoveFactors,
  useRemoveMember,
  useSendReset,
} from "./peopleApi";
import { mayGrant } from "./permissions";

/** What can be done with a member, as far as the person may. */
export function MemberMenu({ member: m, roles, hand }: { member: Member; roles: Role[]; hand: (h: Handed) => void }) {
  const may = useMay();
  const change = useChangeMember();
  const remove = useRemoveMember();
  const reset = useSendReset();
  const strip = useRemoveFactors();
  const [choosing, dialog] = useDisclosure(false);
  const name = m.name || m.email;
  const update = may("member:update");
  if (!update && !may("member:delete")) return null;
  const suspend = (suspended: boolean) =>
    change.mutate(
      { userId: m.userId, suspended },
      { onSuccess: () => done(suspended ? `${name} is kept out.` : `${name} may come in again.`), onError: failed },
    );
  return (
    <>
      <Menu position="bottom-end" width={230}>
        <Menu.Target>
          <ActionIcon variant="subtle" color="gray" aria-label={`Actions for ${name}`}>
            <IconDots size={18} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          {update && (
            <>
              {roles.length > 0 && (
                <Menu.Item leftSection={<IconKey size={16} />} onClick={dialog.open}>
                  Change the role
                </Menu.Item>
              )}
              <Menu.Item
                leftSection={<IconLockOpen size={16} />}
                onClick={() =>
                  reset.mutate(m.userId, {
                    onSuccess: (r) => {
                      if (r.link) hand({ title: "Reset link", link: r.link, for: name });
                      else done(`A reset link is on its way to ${m.email}.`);
                    },
                    onError: failed,
                  })
                }
              >
                Send a reset link
              </Menu.Item>
              <Menu.Item
                leftSection={<IconShieldOff size={16} />}
                onClick={() =>
                  confirm({
                    title: `Take every second factor from ${name}?`,
                    text: "For somebody who lost their device. Their sessions end, and only their password guards the account until they add a factor.",
                    action: "Take them away",
                    onConfirm: () =>
                      strip.mutate(m.userId, {
                        onSuccess: () => done("The second factors are gone."),
                        onError: failed,
                      }),
                  })
                }
              >
                Remove second factors
              </Menu.Item>
              {m.suspendedAt ? (
                <Menu.Item leftSection={<IconPlayerPlay size={16} />} onClick={() => suspend(false)}>
                  Let in again
                </Menu.Item>
              ) : (
                <Menu.Item
                  leftSection={<IconPlayerPause size={16} />}
                  onClick={() =>
                    confirm({
                      title: `Suspend ${name}?`,
                      text: "Their sessions end and their API tokens stop until you let them in again.",
                      action: "Suspend",
                      onConfirm: () => suspend(true),
                    })
                  }
                >
                  Suspend
                </Menu.Item>
              )}
            </>
          )}
          {may("member:delete") && (
            <Menu.Item
              color="red"
              leftSection={<IconTrash size={16} />}
              onClick={() =>
                confirm({
                  title: `Remove ${name}?`,
                  text: "Their sessions and API tokens here end. Their account and other organisations stay.",
                  action: "Remove",
                  onConfirm: () =>
                    remove.mutate(m.userId, { onSuccess: () => done(`${name} was removed.`), onError: failed }),
                })
              }
            >
              Remove
            </Menu.Item>
          )}
        </Menu.Dropdown>
      </Menu>
      <Modal opened={choosing} onClose={dialog.close} title={`Role of ${name}`}>
        <Editing of={["member", m.userId]} read={readMember(m.userId)}>
          {(begun) => <RoleOfMember begun={begun} roles={roles} close={dialog.close} />}
        </Editing>
      </Modal>
    </>
  );
}

function RoleOfMember({ begun, close, ...props }: { begun: Begun<Member>; roles: Role[]; close: () => void }) {
  const change = useChangeMember();
  const roles = useGrantable(props.roles);
  const { role: before, userId } = begun.value;
  const [role, setRole] = useState(before);
  const save = async () => {
    try {
      await begun.save({ role }, (tag) => change.mutateAsync({ userId, tag, role }));
      done("The role was changed. It counts at once.");
      close();
    } catch (e) {
      failed(e);
    }
  };
  return (
    <Stack>
      <RoleChoice roles={roles} value={role} onChange={setRole} />
      <Group justify="flex-end">
        <Button variant="default" onClick={close}>
          Cancel
        </Button>
        <Button disabled={role === before} loading={change.isPending} onClick={save}>
          Change the role
        </Button>
      </Group>
    </Stack>
  );
}

/** The roles that the person may give: nobody gives more than they have, and only owners make owners. */
export function useGrantable(roles: Role[]): Role[] {
  const { data: me } = useMe();
  const permissions = usePermissions(useMay()("role:read"));
  const mine = me?.permissions ?? [];
  return roles.filter(
    (r) => (r.id !== "owner" || me?.role === "owner") && mayGrant(mine, r.permissions, permissions.data?.items ?? []),
  );
}

export function RoleChoice(props: { roles: Role[]; value: string; onChange: (id: string) => void; error?: string }) {
  return (
    <Radio.Group label="Role" value={props.value} onChange={props.onChange} error={props.error}>
      <Stack gap="sm" mt="xs" mah={340} style={{ overflowY: "auto" }}>
        {props.roles.map((r) => (
          <Radio
            key={r.id}
            value={r.id}
            label={
              <>
                {r.name}
                <Text size="xs" c="dimmed">
                  {r.description}
                </Text>
              </>
            }
          />
        ))}
      </Stack>
    </Radio.Group>
  );
}
