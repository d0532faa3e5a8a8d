import { Alert, Anchor, Button, Group, Stack, Text, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { messageOf } from "../../api/client";
import type { Account } from "../../api/types";
import { askSecondPasskey, type FactorMethod, secondFactor } from "./api";
import { passkeysHere, readPasskey } from "./passkeys";

const others: Record<FactorMethod, string> = {
  totp: "Use the authenticator app",
  passkey: "Use a passkey",
  recovery_code: "Use a recovery code",
};

/** The second step of a sign-in: a code of the app, a passkey, or a recovery code. */
export function SecondFactor(props: { pending: Account; onDone: (a: Account) => void; onBack: () => void }) {
  const challenge = props.pending.challenge ?? "";
  const methods = ((props.pending.methods ?? []) as FactorMethod[]).filter((m) => m !== "passkey" || passkeysHere());
  const [method, choose] = useState<FactorMethod>(
    (["totp", "passkey", "recovery_code"] as const).find((m) => methods.includes(m)) ?? "recovery_code",
  );
  const [code, setCode] = useState("");
  const enter = useMutation({
    mutationFn: async () => {
      if (method !== "passkey") return secondFactor({ challenge, method, code: code.trim() });
      const asked = await askSecondPasskey(challenge);
      return secondFactor({ challenge: asked.challenge, method, credential: await readPasskey(asked.options) });
    },
    onSuccess: props.onDone,
  });
  const submit = (e: FormEvent) => {
    e.preventDefault();
    enter.mutate();
  };
  return (
    <form onSubmit={submit}>
      <Stack>
        {enter.isError && (
          <Alert variant="light" color="red" role="alert">
            {messageOf(enter.error)}
          </Alert>
        )}
        {method === "totp" && (
          <TextInput
            key="totp"
            label="Code of the app"
            description="Six digits; a new one every 30 seconds"
            inputMode="numeric"
            autoComplete="one-time-code"
            maxLength={7}
            required
            autoFocus
            value={code}
            onChange={(e) => setCode(e.currentTarget.value)}
          />
        )}
        {method === "recovery_code" && (
          <TextInput
            key="recovery"
            label="Recovery code"
            description="One of those you kept; each works once"
            autoComplete="off"
            required
            autoFocus
            value={code}
            onChange={(e) => setCode(e.currentTarget.value)}
          />
        )}
        {method === "passkey" && <Text size="sm">Your device asks for your finger, your face or its PIN.</Text>}
        <Button type="submit" loading={enter.isPending} fullWidth>
          {method === "passkey" ? "Use a passkey" : "Go on"}
        </Button>
        <Group justify="space-between" gap="xs">
          <Anchor component="button" type="button" size="sm" underline="always" onClick={props.onBack}>
            Back
          </Anchor>
          <Stack gap={4} align="flex-end">
            {methods
              .filter((m) => m !== method)
              .map((m) => (
                <Anchor
                  key={m}
                  component="button"
                  type="button"
                  size="sm"
                  underline="always"
                  onClick={() => {
                    choose(m);
                    setCode("");
                    enter.reset();
                  }}
                >
                  {others[m]}
                </Anchor>
              ))}
          </Stack>
        </Group>
      </Stack>
    </form>
  );
}
