import { Button, Group, Modal, Select, Stack, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useNavigate } from "@tanstack/react-router";
import { done, refuse } from "../../ui/notify";
import { useAgents } from "../agent/api";
import { useMay } from "../identity/api";
import { useCreateCampaign } from "./api";

/** The window in which a campaign begins: its name, who calls, and the rest in steps. */
export function NewCampaign({ opened, close }: { opened: boolean; close: () => void }) {
  return (
    <Modal opened={opened} onClose={close} title="New campaign">
      {opened && <Form close={close} />}
    </Modal>
  );
}

function Form({ close }: { close: () => void }) {
  const create = useCreateCampaign();
  const navigate = useNavigate();
  const seesAgents = useMay().some("agent:read");
  const agents = useAgents();
  const ready = (agents.data?.items ?? []).filter((a) => a.publishedVersion !== null);
  const form = useForm({
    initialValues: { name: "", agent: "" },
    validate: { name: (v) => (v.trim() ? null : "Give it a name, such as “Spring check-ups”.") },
  });
  const submit = form.onSubmit(async ({ name, agent }) => {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
    try {
      const made = await create.mutateAsync({
        name: name.trim(),
        settings: { ...(agent ? { agent } : {}), schedule: { zone, hours: {} } },
      });
      close();
      done("A draft was made. Nobody is called before you start it.");
      await navigate({ to: "/campaigns/$campaignId/edit", params: { campaignId: made.id } });
    } catch (e) {
      refuse(form, e);
    }
  });
  return (
    <form noValidate onSubmit={submit}>
      <Stack>
        <TextInput
          label="Name"
          placeholder="Spring check-ups"
          maxLength={100}
          required
          data-autofocus
          {...form.getInputProps("name")}
        />
        {seesAgents && ready.length > 0 && (
          <Select
            label="Agent"
            description="Who talks with the people; can be chosen later"
            placeholder="Later"
            data={ready.map((a) => ({ value: a.slug, label: a.name }))}
            clearable
            {...form.getInputProps("agent")}
          />
        )}
        <Text size="sm" c="dimmed">
          It begins as a draft. The next pages ask for the rest, and say what is missing.
        </Text>
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={create.isPending}>
            Make the draft
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
