import { ActionIcon, Button, Menu, Modal, Stack, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useDisclosure } from "@mantine/hooks";
import { IconDots, IconPencil, IconTrash } from "@tabler/icons-react";
import { useNavigate } from "@tanstack/react-router";
import type { Agent } from "../../api/types";
import { type Begun, Editing } from "../../ui/Editing";
import { confirm, done, failed, refuse } from "../../ui/notify";
import { useMay, useSip } from "../identity/api";
import { readAgent, useDeleteAgent, useRenameAgent } from "./api";

/** What can be done with an agent as a whole, as far as the person may. */
export function AgentMenu({ agent }: { agent: Agent }) {
  const sip = useSip();
  const may = useMay();
  const [open, dialog] = useDisclosure(false);
  const remove = useDeleteAgent();
  const navigate = useNavigate();
  if (!may.some("agent:update") && !may.some("agent:delete")) return null;
  const ask = () =>
    confirm({
      title: `Delete ${agent.name}?`,
      text: `Calls to ${sip(agent.slug)} are refused from then on. Its calls so far stay in the list.`,
      action: "Delete",
      onConfirm: () =>
        remove.mutate(agent.id, {
          onSuccess: () => {
            done("The agent was deleted.");
            void navigate({ to: "/agents", ignoreBlocker: true });
          },
          onError: failed,
        }),
    });
  return (
    <>
      <Menu position="bottom-end">
        <Menu.Target>
          <ActionIcon variant="default" size={36} radius="xl" aria-label="More">
            <IconDots size={18} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          {may.some("agent:update") && (
            <Menu.Item leftSection={<IconPencil size={16} />} onClick={dialog.open}>
              Rename
            </Menu.Item>
          )}
          {may.some("agent:delete") && (
            <Menu.Item color="red" leftSection={<IconTrash size={16} />} onClick={ask}>
              Delete
            </Menu.Item>
          )}
        </Menu.Dropdown>
      </Menu>
      <Modal opened={open} onClose={dialog.close} title="Rename">
        <Editing of={["agent", agent.id]} read={(signal) => readAgent(agent.id, signal)}>
          {(begun) => <Rename begun={begun} close={dialog.close} />}
        </Editing>
      </Modal>
    </>
  );
}

function Rename({ begun, close }: { begun: Begun<Agent>; close: () => void }) {
  const sip = useSip();
  const rename = useRenameAgent(begun.value.id);
  const form = useForm({ initialValues: { name: begun.value.name, slug: begun.value.slug } });
  const submit = form.onSubmit(async (mine) => {
    try {
      await begun.save(mine, (tag) => rename.mutateAsync({ tag, ...mine }));
      done("Renamed.");
      close();
    } catch (e) {
      refuse(form, e);
    }
  });
  return (
    <form onSubmit={submit}>
      <Stack>
        <TextInput label="Name" required data-autofocus {...form.getInputProps("name")} />
        <TextInput
          label="Address"
          description={`Phones call ${sip(form.values.slug)}`}
          required
          {...form.getInputProps("slug")}
        />
        <Button type="submit" loading={rename.isPending}>
          Rename
        </Button>
      </Stack>
    </form>
  );
}
