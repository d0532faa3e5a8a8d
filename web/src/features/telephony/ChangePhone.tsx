import { Button, Checkbox, Group, Modal, Select, Stack, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import type { Phone } from "../../api/types";
import { type Begun, Editing } from "../../ui/Editing";
import { done, refuse } from "../../ui/notify";
import { useMay } from "../identity/api";
import { useMembers, useProjects } from "../identity/peopleApi";
import { readPhone, useChangePhone, usePhoneServer } from "./api";

/** The window in which a phone is changed; null while none is. */
export function ChangePhone({ phone, close }: { phone: Phone | null; close: () => void }) {
  return (
    <Modal opened={phone !== null} onClose={close} title={`Phone ${phone?.username}`}>
      {phone && (
        <Editing of={["phone", phone.id]} read={readPhone(phone.id)}>
          {(begun) => <Form begun={begun} close={close} />}
        </Editing>
      )}
    </Modal>
  );
}

function Form({ begun, close }: { begun: Begun<Phone>; close: () => void }) {
  const p = begun.value;
  const may = useMay();
  const server = usePhoneServer();
  const people = useMembers(may("member:read"));
  const projects = useProjects(may("project:read"));
  const change = useChangePhone();
  const form = useForm({
    initialValues: {
      displayName: p.displayName,
      userId: p.userId,
      projectId: p.projectId,
      encryptedOnly: p.encryptedOnly,
    },
  });
  const submit = form.onSubmit(async (v) => {
    const mine = { ...v, displayName: v.displayName.trim() };
    try {
      await begun.save(mine, (tag) => change.mutateAsync({ id: p.id, tag, ...mine }));
      done("The phone was changed.");
      close();
    } catch (e) {
      refuse(form, e);
    }
  });
  return (
    <form noValidate onSubmit={submit}>
      <Stack>
        <TextInput
          label="Name"
          placeholder="Reception"
          maxLength={100}
          data-autofocus
          {...form.getInputProps("displayName")}
        />
        {people.data && (
          <Select
            label="Whose it is"
            data={[
              { value: "", label: "Nobody's" },
              ...people.data.items.map((m) => ({ value: m.userId, label: m.name || m.email })),
            ]}
            searchable
            allowDeselect={false}
            {...form.getInputProps("userId")}
          />
        )}
        {projects.data && projects.data.items.length > 0 && (
          <Select
            label="Project"
            data={[
              { value: "", label: "None" },
              ...projects.data.items.map((project) => ({ value: project.id, label: project.name })),
            ]}
            allowDeselect={false}
            {...form.getInputProps("projectId")}
          />
        )}
        {(p.encryptedOnly || (server.data?.tlsPort ?? 0) > 0) && (
          <Checkbox
            label="Only encrypted"
            description="It registers and calls by TLS with SRTP only. If it is registered otherwise now, it is signed off."
            {...form.getInputProps("encryptedOnly", { type: "checkbox" })}
          />
        )}
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={change.isPending}>
            Save
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
