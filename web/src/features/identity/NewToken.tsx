import { Button, Group, SegmentedControl, Select, Stack, TagsInput, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { refuse } from "../../ui/notify";
import { Loaded } from "../../ui/states";
import { useCreateToken, useMay, useMe } from "./api";
import { PermissionPicker } from "./PermissionPicker";
import { usePermissions } from "./peopleApi";
import { mayGrant } from "./permissions";

/** Makes a token: for what, for how long, from where, and what it may do. */
export function NewToken({ close, onMade }: { close: () => void; onMade: (secret: string) => void }) {
  const { data: me } = useMe();
  const may = useMay();
  const pick = may("role:read"); // who may not read the permissions has no list to pick from
  const permissions = usePermissions(pick);
  const create = useCreateToken();
  const form = useForm({
    initialValues: { name: "", days: "90", reach: "all", scopes: [] as string[], allowedIps: [] as string[] },
    validate: {
      name: (v) => (v.trim() ? null : "Say what will use it."),
      scopes: (v, all) => (all.reach === "all" || v.length > 0 ? null : "Choose what it may do."),
    },
  });
  return (
    <form
      noValidate
      onSubmit={form.onSubmit(({ name, days, reach, scopes, allowedIps }) =>
        create.mutate(
          {
            name: name.trim(),
            ...(days === "never" ? {} : { expiresAt: new Date(Date.now() + Number(days) * 86_400_000).toISOString() }),
            ...(reach === "some" ? { scopes } : {}),
            ...(allowedIps.length > 0 ? { allowedIps } : {}),
          },
          { onSuccess: (t) => onMade(t.secret), onError: (e) => refuse(form, e) },
        ),
      )}
    >
      <Stack>
        <Group grow align="flex-start">
          <TextInput
            label="What will use it?"
            placeholder="Nightly export"
            data-autofocus
            {...form.getInputProps("name")}
          />
          <Select
            label="Valid for"
            allowDeselect={false}
            data={[
              { value: "30", label: "30 days" },
              { value: "90", label: "90 days" },
              { value: "365", label: "A year" },
              { value: "never", label: "Until it is revoked" },
            ]}
            {...form.getInputProps("days")}
          />
        </Group>
        <TagsInput
          label="Only from these addresses"
          description="Addresses or networks such as 203.0.113.7 or 10.1.0.0/16. None: from everywhere"
          splitChars={[",", " "]}
          {...form.getInputProps("allowedIps")}
        />
        <div>
          <Text size="sm" fw={500} id="token-reach">
            What it may do
          </Text>
          <SegmentedControl
            mt={6}
            aria-labelledby="token-reach"
            data={[
              { value: "all", label: "All that you may" },
              { value: "some", label: "Only what I choose" },
            ]}
            {...form.getInputProps("reach")}
          />
        </div>
        {form.values.reach === "some" &&
          (pick ? (
            <Loaded query={permissions} rows={2}>
              {({ items }) => (
                <PermissionPicker
                  label="Scopes"
                  catalogue={items}
                  value={form.values.scopes}
                  onChange={(v) => form.setFieldValue("scopes", v)}
                  error={form.errors.scopes}
                  mayGive={(patterns) => mayGrant(me?.permissions ?? [], patterns, items)}
                />
              )}
            </Loaded>
          ) : (
            <TagsInput
              label="Scopes"
              description="Permissions such as call:read or agent:*"
              splitChars={[",", " "]}
              {...form.getInputProps("scopes")}
            />
          ))}
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={create.isPending}>
            Make the token
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
