import { Alert, Button, Group, Stack, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import type { Role } from "../../api/types";
import { done, refuse } from "../../ui/notify";
import { Loaded } from "../../ui/states";
import { useMe } from "./api";
import { Expansion, PermissionPicker } from "./PermissionPicker";
import { usePermissions, useSaveRole } from "./peopleApi";
import { expand, mayGrant } from "./permissions";

export function RoleForm({ role, close }: { role?: Role; close: () => void }) {
  const { data: me } = useMe();
  const permissions = usePermissions();
  const save = useSaveRole();
  const form = useForm({
    initialValues: {
      name: role?.name ?? "",
      description: role?.description ?? "",
      permissions: role?.permissions ?? [],
    },
    validate: {
      name: (v) => (v.trim() ? null : "Give the role a name."),
      permissions: (v) => (v.length > 0 ? null : "A role without permissions lets nobody do anything."),
    },
  });
  return (
    <Loaded query={permissions}>
      {({ items: catalogue }) => (
        <form
          noValidate
          onSubmit={form.onSubmit((v) =>
            save.mutate(
              { ...(role ? { id: role.id } : {}), ...v, name: v.name.trim() },
              {
                onSuccess: () => {
                  done(role ? "The role was changed. It counts at once." : "The role was made.");
                  close();
                },
                onError: (e) => refuse(form, e),
              },
            ),
          )}
        >
          <Stack>
            {role && role.members > 0 && (
              <Alert variant="light" color="clay">
                {role.members === 1 ? "One person has this role." : `${role.members} people have this role.`} What you
                change counts for them at once.
              </Alert>
            )}
            <Group grow align="flex-start">
              <TextInput label="Name" required maxLength={120} data-autofocus {...form.getInputProps("name")} />
              <TextInput label="What for" maxLength={500} {...form.getInputProps("description")} />
            </Group>
            <PermissionPicker
              catalogue={catalogue}
              value={form.values.permissions}
              onChange={(v) => form.setFieldValue("permissions", v)}
              error={form.errors.permissions}
              mayGive={(patterns) => mayGrant(me?.permissions ?? [], patterns, catalogue)}
            />
            <Expansion expanded={expand(form.values.permissions, catalogue)} />
            <Group justify="flex-end">
              <Button variant="default" onClick={close}>
                Cancel
              </Button>
              <Button type="submit" loading={save.isPending}>
                {role ? "Save" : "Make the role"}
              </Button>
            </Group>
          </Stack>
        </form>
      )}
    </Loaded>
  );
}
