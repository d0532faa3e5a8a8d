import { Alert, Button, Group, Stack, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import type { Role } from "../../api/types";
import type { Begun } from "../../ui/Editing";
import { done, refuse } from "../../ui/notify";
import { Loaded } from "../../ui/states";
import { useMe } from "./api";
import { Expansion, PermissionPicker } from "./PermissionPicker";
import { usePermissions, useSaveRole } from "./peopleApi";
import { expand, mayGrant } from "./permissions";

export function RoleForm({ begun, close }: { begun?: Begun<Role>; close: () => void }) {
  const role = begun?.value;
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
  const submit = form.onSubmit(async (v) => {
    const mine = { ...v, name: v.name.trim() };
    try {
      if (begun) await begun.save(mine, (tag) => save.mutateAsync({ id: begun.value.id, tag, ...mine }));
      else await save.mutateAsync(mine);
      done(begun ? "The role was changed. It counts at once." : "The role was made.");
      close();
    } catch (e) {
      refuse(form, e);
    }
  });
  return (
    <Loaded query={permissions}>
      {({ items: catalogue }) => (
        <form noValidate onSubmit={submit}>
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
