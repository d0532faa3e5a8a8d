import { Button, Group, Menu, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { modals } from "@mantine/modals";
import {
  IconArchive,
  IconArchiveOff,
  IconCopy,
  IconPencil,
  IconPlayerPause,
  IconPlayerPlay,
  IconPlayerStop,
  IconTrash,
} from "@tabler/icons-react";
import { useNavigate } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";
import type { Campaign } from "../../api/types";
import { confirm, done, failed, refuse } from "../../ui/notify";
import { useMay } from "../identity/api";
import { useArchive, useDeleteCampaign, useDuplicate, usePause, useRefresh, useResume, useStop } from "./api";
import { over, unbegun } from "./words";

type Action = { key: string; label: string; icon: ReactNode; run: () => void; red?: boolean; main?: boolean };

/** What the person may do with a campaign as it is now, and the windows that ask before. */
export function useActions(c: Campaign): { actions: Action[]; windows: ReactNode } {
  const may = useMay();
  const navigate = useNavigate();
  const refresh = useRefresh();
  const resume = useResume();
  const stop = useStop();
  const archive = useArchive();
  const remove = useDeleteCampaign();
  const [asking, ask] = useState<"pause" | "duplicate" | null>(null);
  const close = () => ask(null);
  const edit = () => navigate({ to: "/campaigns/$campaignId/edit", params: { campaignId: c.id } });
  const check = () =>
    navigate({ to: "/campaigns/$campaignId/edit", params: { campaignId: c.id }, search: { step: "check" } });
  const actions: (Action | false)[] = [
    may("campaign:run") &&
      unbegun(c.state) && {
        key: "start",
        label: "Check and start",
        icon: <IconPlayerPlay size={16} />,
        run: check,
        main: true,
      },
    may("campaign:run") &&
      (c.state === "running" || c.state === "scheduled") && {
        key: "pause",
        label: "Pause",
        icon: <IconPlayerPause size={16} />,
        run: () => ask("pause"),
        main: true,
      },
    may("campaign:run") &&
      c.state === "paused" && {
        key: "resume",
        label: "Go on",
        icon: <IconPlayerPlay size={16} />,
        main: true,
        run: () =>
          resume.mutate(c.id, {
            onSuccess: (now) =>
              done(now.state === "scheduled" ? "It goes on when its time begins." : "It calls again from now on."),
            onError: failed,
          }),
      },
    may("campaign:update") &&
      !over(c.state) && { key: "edit", label: "Change", icon: <IconPencil size={16} />, run: edit },
    may("campaign:create") && {
      key: "duplicate",
      label: "Duplicate",
      icon: <IconCopy size={16} />,
      run: () => ask("duplicate"),
    },
    may("campaign:update") &&
      (over(c.state) || unbegun(c.state)) && {
        key: "archive",
        label: c.archivedAt ? "Take out of the archive" : "Archive",
        icon: c.archivedAt ? <IconArchiveOff size={16} /> : <IconArchive size={16} />,
        run: () =>
          archive.mutate(
            { id: c.id, archived: !c.archivedAt },
            {
              onSuccess: () => done(c.archivedAt ? "It is on the list again." : "It is in the archive."),
              onError: failed,
            },
          ),
      },
    may("campaign:run") &&
      !over(c.state) &&
      !unbegun(c.state) && {
        key: "stop",
        label: "Stop for good",
        icon: <IconPlayerStop size={16} />,
        red: true,
        run: () =>
          confirm({
            title: `Stop ${c.name} for good?`,
            text: "Nobody else is called, and it cannot be started again; to call the rest, make a new campaign. Calls that are running end by themselves.",
            action: "Stop it",
            onConfirm: () => stop.mutate(c.id, { onSuccess: () => done("The campaign is over."), onError: failed }),
          }),
      },
    may("campaign:delete") &&
      (over(c.state) || unbegun(c.state)) && {
        key: "delete",
        label: "Delete",
        icon: <IconTrash size={16} />,
        red: true,
        run: () =>
          confirm({
            title: `Delete ${c.name}?`,
            text: "Its list of people and its figures are gone for ever. Records of its calls stay, and so does why each was made.",
            action: "Delete",
            onConfirm: () =>
              remove.mutate(c.id, {
                onSuccess: async () => {
                  await navigate({ to: "/campaigns" });
                  void refresh();
                  done("The campaign was deleted.");
                },
                onError: failed,
              }),
          }),
      },
  ];
  return {
    actions: actions.filter((a): a is Action => a !== false),
    windows: (
      <>
        <PauseWindow campaign={c} opened={asking === "pause"} close={close} />
        <DuplicateWindow campaign={c} opened={asking === "duplicate"} close={close} />
      </>
    ),
  };
}

export function ActionItems({ actions }: { actions: Action[] }) {
  return actions.map((a) => (
    <Menu.Item key={a.key} leftSection={a.icon} color={a.red ? "red" : undefined} onClick={a.run}>
      {a.label}
    </Menu.Item>
  ));
}

type WindowProps = { campaign: Campaign; opened: boolean; close: () => void };

function PauseWindow({ campaign, opened, close }: WindowProps) {
  const pause = usePause();
  const form = useForm({ initialValues: { why: "" } });
  const submit = form.onSubmit(async ({ why }) => {
    try {
      await pause.mutateAsync({ id: campaign.id, why: why.trim() });
      done("Nobody else is called until you go on.");
      form.reset();
      close();
    } catch (e) {
      refuse(form, e);
    }
  });
  return (
    <Modal opened={opened} onClose={close} title={`Pause ${campaign.name}`}>
      <form noValidate onSubmit={submit}>
        <Stack>
          <Text size="sm">Calls that are running end by themselves. Everybody else waits until you go on.</Text>
          <TextInput
            label="Why"
            description="For those who wonder; may stay empty"
            placeholder="The shop is closed today"
            maxLength={500}
            data-autofocus
            {...form.getInputProps("why")}
          />
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              Cancel
            </Button>
            <Button type="submit" loading={pause.isPending}>
              Pause it
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

function DuplicateWindow({ campaign, opened, close }: WindowProps) {
  const duplicate = useDuplicate();
  const navigate = useNavigate();
  const form = useForm({
    initialValues: { name: `${campaign.name} again`.slice(0, 100) },
    validate: { name: (v) => (v.trim() ? null : "Give it a name.") },
  });
  const submit = form.onSubmit(async ({ name }) => {
    try {
      const made = await duplicate.mutateAsync({ id: campaign.id, name: name.trim() });
      close();
      done("Here is the new one, as a draft.");
      await navigate({ to: "/campaigns/$campaignId/edit", params: { campaignId: made.id } });
    } catch (e) {
      refuse(form, e);
    }
  });
  return (
    <Modal opened={opened} onClose={close} title={`Duplicate ${campaign.name}`}>
      <form noValidate onSubmit={submit}>
        <Stack>
          <Text size="sm">A draft with the same settings, without its list of people and without its dates.</Text>
          <TextInput label="Name" maxLength={100} data-autofocus required {...form.getInputProps("name")} />
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              Cancel
            </Button>
            <Button type="submit" loading={duplicate.isPending}>
              Make the draft
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

/** Asks before people are called. */
export function askToStart(options: { text: ReactNode; onConfirm: () => void }) {
  modals.openConfirmModal({
    title: "Start calling?",
    children: (
      <Text size="sm" component="div">
        {options.text}
      </Text>
    ),
    labels: { confirm: "Start calling", cancel: "Not yet" },
    onConfirm: options.onConfirm,
  });
}
