import { Text } from "@mantine/core";
import { modals } from "@mantine/modals";
import { notifications } from "@mantine/notifications";
import { formErrors, messageOf } from "../api/client";

export function done(message: string) {
  notifications.show({ message, color: "pine", autoClose: 3500 });
}

/** The person thought better of it; nothing went wrong. */
export class Cancelled extends Error {
  constructor() {
    super("Cancelled.");
    this.name = "Cancelled";
  }
}

export function failed(error: unknown) {
  if (error instanceof Cancelled) return;
  notifications.show({ title: "That did not work", message: messageOf(error), color: "red", autoClose: 8000 });
}

/** Puts what the server refused beside the fields of a form, or says it where it belongs to none. */
export function refuse(form: { setErrors: (errors: Record<string, string>) => void; values: object }, error: unknown) {
  const errors = formErrors(error);
  form.setErrors(errors);
  if (!Object.keys(errors).some((field) => (field.split(/[.[]/)[0] ?? "") in form.values)) failed(error);
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
