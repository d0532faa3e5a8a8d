import { Text } from "@mantine/core";
import { modals } from "@mantine/modals";
import { useBlocker } from "@tanstack/react-router";

/** Asks before a page is left on which something is not saved. `save` may still save it; where it cannot, the person is asked. */
export function useLeaving({ dirty, text, save }: { dirty: boolean; text: string; save?: () => Promise<boolean> }) {
  useBlocker({
    shouldBlockFn: async ({ next, current }) => {
      if (!dirty || next.pathname === current.pathname) return false;
      if (save && (await save())) return false;
      return !(await askToLeave(text));
    },
    enableBeforeUnload: () => dirty,
  });
}

function askToLeave(text: string): Promise<boolean> {
  return new Promise((resolve) =>
    modals.openConfirmModal({
      title: "Leave without saving?",
      children: <Text size="sm">{text}</Text>,
      labels: { confirm: "Leave", cancel: "Stay" },
      confirmProps: { color: "red.8" },
      onConfirm: () => resolve(true),
      onCancel: () => resolve(false),
      onClose: () => resolve(false),
    }),
  );
}
