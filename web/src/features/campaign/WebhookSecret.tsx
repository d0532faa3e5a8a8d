import { Alert, Button, Group, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { client, unwrap } from "../../api/client";
import { since } from "../../ui/format";
import { confirm, failed } from "../../ui/notify";
import { ShownOnce } from "../../ui/ShownOnce";
import { Loaded } from "../../ui/states";
import { useMay } from "../identity/api";
import { useChange, useNames } from "../identity/peopleApi";

type Told = { set: boolean; setAt: string | null; setBy: string };

const useSecret = (enabled: boolean) =>
  useQuery({
    queryKey: ["campaign-webhook-secret"],
    enabled,
    queryFn: async ({ signal }) => (await unwrap(client.GET("/api/v1/campaign-webhook-secret", { signal }))) as Told,
  });

const useNewSecret = () =>
  useChange(["campaign-webhook-secret", "secrets"], () => unwrap(client.POST("/api/v1/campaign-webhook-secret")));

/** The secret with which all campaigns of the organisation sign what they tell other systems. */
export function WebhookSecret({ address }: { address: string }) {
  const may = useMay()("campaign:webhook");
  const secret = useSecret(may);
  if (!may) return null;
  return (
    <Loaded query={secret} rows={1}>
      {(s) => <Secret told={s} address={address} />}
    </Loaded>
  );
}

function Secret({ told, address }: { told: Told; address: string }) {
  const names = useNames();
  const make = useNewSecret();
  const [shown, show] = useState<string | null>(null);
  const run = () => make.mutate(undefined, { onSuccess: (s) => show(s.secret), onError: failed });
  return (
    <Stack gap="xs">
      {!told.set && address && (
        <Alert color="clay" variant="light" title="Nothing is sent yet">
          What is sent is signed with a secret, so that the other side knows that it comes from here. There is none yet.
        </Alert>
      )}
      <Group justify="space-between" gap="sm">
        <Text size="sm" c="dimmed" style={{ flex: "1 1 260px" }}>
          {told.set
            ? `Signed with the organisation's secret, made ${since(told.setAt)}${names.get(told.setBy) ? ` by ${names.get(told.setBy)}` : ""}. All campaigns use the same.`
            : "One secret signs what all campaigns of the organisation send."}
        </Text>
        <Button
          size="xs"
          variant="default"
          loading={make.isPending}
          onClick={() =>
            told.set
              ? confirm({
                  title: "Replace the secret?",
                  text: "From now on everything is signed with the new one, for every campaign. Whoever checks signatures needs it at once.",
                  action: "Replace it",
                  onConfirm: run,
                })
              : run()
          }
        >
          {told.set ? "Replace the secret" : "Make the secret"}
        </Button>
      </Group>
      <ShownOnce
        title="The secret"
        secret={shown}
        label="Secret"
        close={() => show(null)}
        why="Copy it now. It is kept sealed and is not shown again."
      >
        Give it to whoever receives the messages. They are signed as Standard Webhooks say, so most libraries can check
        them.
      </ShownOnce>
    </Stack>
  );
}
