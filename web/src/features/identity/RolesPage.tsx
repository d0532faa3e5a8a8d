import { Badge, Button, Group, Modal, Paper, Stack, Table, Text } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { useState } from "react";
import type { Role } from "../../api/types";
import { Editing } from "../../ui/Editing";
import { Listing } from "../../ui/Listing";
import { done, failed } from "../../ui/notify";
import { Page } from "../../ui/Page";
import { RowActions } from "../../ui/RowActions";
import { Loaded } from "../../ui/states";
import { useMay } from "./api";
import { Expansion } from "./PermissionPicker";
import { readRole, useDeleteRole, useRoles } from "./peopleApi";
import { RoleForm } from "./RoleForm";

/** Roles: what people may do, by name. */
export function RolesPage() {
  const may = useMay();
  const roles = useRoles();
  const [shown, show] = useState<Role | null>(null);
  const [edited, edit] = useState<Role | "new" | null>(null);
  return (
    <Page
      title="Roles"
      lead="Five are built in. Make one of your own where they do not fit."
      actions={
        may("role:create") && (
          <Button leftSection={<IconPlus size={16} />} onClick={() => edit("new")}>
            New role
          </Button>
        )
      }
    >
      <Paper p="md">
        <Loaded query={roles} rows={5}>
          {(data) => <RoleTable roles={data.items} show={show} edit={edit} />}
        </Loaded>
      </Paper>
      <Modal opened={shown !== null} onClose={() => show(null)} title={`What ${shown?.name} may do`} size="lg">
        {shown && (
          <Stack>
            <Text size="sm">{shown.description}</Text>
            <Group gap={6}>
              {shown.permissions.map((p) => (
                <Badge key={p} className="mono" color="gray">
                  {p}
                </Badge>
              ))}
            </Group>
            <Expansion expanded={shown.expanded} />
          </Stack>
        )}
      </Modal>
      <Modal
        opened={edited !== null}
        onClose={() => edit(null)}
        title={edited && edited !== "new" ? `Role ${edited.name}` : "New role"}
        size="xl"
        closeOnClickOutside={false}
      >
        {edited === "new" && <RoleForm close={() => edit(null)} />}
        {edited && edited !== "new" && (
          <Editing of={["role", edited.id]} read={readRole(edited.id)}>
            {(begun) => <RoleForm begun={begun} close={() => edit(null)} />}
          </Editing>
        )}
      </Modal>
    </Page>
  );
}

function RoleTable(props: { roles: Role[]; show: (r: Role) => void; edit: (r: Role) => void }) {
  const may = useMay();
  const remove = useDeleteRole();
  return (
    <Listing minWidth={560}>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Role</Table.Th>
          <Table.Th ta="right">People</Table.Th>
          <Table.Th ta="right">Permissions</Table.Th>
          <Table.Th aria-label="Actions" />
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {props.roles.map((r) => (
          <Table.Tr key={r.id}>
            <Table.Td>
              <Group gap="xs">
                <Text fw={600} size="sm">
                  {r.name}
                </Text>
                {r.builtIn && <Badge color="gray">built in</Badge>}
              </Group>
              <Text size="xs" c="dimmed">
                {r.description}
              </Text>
            </Table.Td>
            <Table.Td ta="right" className="num">
              {r.members}
            </Table.Td>
            <Table.Td ta="right" className="num">
              {r.expanded.length}
            </Table.Td>
            <Table.Td>
              <RowActions
                name={r.name}
                change={!r.builtIn && may("role:update") ? () => props.edit(r) : undefined}
                remove={
                  !r.builtIn && may("role:delete")
                    ? {
                        text: "It goes only when nobody has it.",
                        run: () =>
                          remove.mutate(r.id, { onSuccess: () => done("The role was deleted."), onError: failed }),
                      }
                    : undefined
                }
              >
                <Button size="xs" variant="subtle" onClick={() => props.show(r)} aria-label={`Show ${r.name}`}>
                  Show
                </Button>
              </RowActions>
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Listing>
  );
}
