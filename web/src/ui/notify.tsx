import { Text } from "@mantine/core";
import { modals } from "@mantine/modals";
import { notifications } from "@mantine/notifications";
import { messageOf } from "../api/client";

export function done(message: string) {
  notifications.show({ message, color: "pine", autoClose: 3500 });
}

export function failed(error: unknown) {
  notifications.show({ title: "That did not work", message: messageOf(error), color: "red", autoClose: 8000 });
}

/** Asks before something that cannot be taken back. */
export function confirm(options: { title: string; text: string; action: string; onConfirm: () => void }) {
  modals.openConfirmModal({
    title: options.title,
    children: <Text size="sm">{options.text}</Text>,
    labels: { confirm: options.action, cancel: "Keep it" },
    confirmProps: { color: "red.8" },
    onConfirm: options.onConfirm,
  });
}
