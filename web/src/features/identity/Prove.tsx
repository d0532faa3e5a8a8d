import { Alert, Button, Group, PasswordInput, SegmentedControl, Stack, Text, TextInput } from "@mantine/core";
import { modals } from "@mantine/modals";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { ApiError, client, messageOf, unwrap } from "../../api/client";
import { Cancelled } from "../../ui/notify";
import { Loaded } from "../../ui/states";
import { mfaQuery } from "./api";
import { passkeysHere, readPasskey } from "./passkeys";

/** Runs what may ask to prove again who one is; then asks for it, and runs it once more. */
export async function proving<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== "reauthenticate") throw error;
    if (!(await prove())) throw new Cancelled();
    return run();
  }
}

function prove(): Promise<boolean> {
  return new Promise((resolve) => {
    let proved = false;
    const id = modals.open({
      title: "Confirm that it is you",
      onClose: () => resolve(proved),
      children: (
        <ProveForm
          onProved={() => {
            proved = true;
            modals.close(id);
          }}
        />
      ),
    });
  });
}

type Method = "password" | "totp" | "recovery_code" | "passkey";
const labels: Record<Method, string> = {
  password: "Password",
  totp: "App code",
  passkey: "Passkey",
  recovery_code: "Recovery code",
};

function ProveForm({ onProved }: { onProved: () => void }) {
  const mfa = useQuery(mfaQuery);
  const [chosen, choose] = useState<Method>();
  const [text, setText] = useState("");
  const confirm = useMutation({
    mutationFn: async (method: Method) => {
      const body: { method: Method; password?: string; code?: string; challenge?: string; credential?: unknown } = {
        method,
      };
      if (method === "password") body.password = text;
      else if (method === "passkey") {
        const asked = await unwrap(client.POST("/api/v1/me/confirm/passkey"));
        body.challenge = asked.challenge;
        body.credential = await readPasskey(asked.options);
      } else body.code = text.trim();
      return unwrap(client.POST("/api/v1/me/confirm", { body }));
    },
    onSuccess: onProved,
  });
  return (
    <Loaded query={mfa} rows={2}>
      {(data) => {
        const methods = (data.confirmBy as Method[]).filter((m) => m !== "passkey" || passkeysHere());
        const method = chosen ?? methods[0] ?? "password";
        const submit = (e: FormEvent) => {
          e.preventDefault();
          confirm.mutate(method);
        };
        return (
          <form onSubmit={submit}>
            <Stack>
              <Text size="sm">What you are about to change guards your account. This counts for 15 minutes.</Text>
              {confirm.isError && (
                <Alert color="red" variant="light" role="alert">
                  {messageOf(confirm.error)}
                </Alert>
              )}
              {methods.length > 1 && (
                <SegmentedControl
                  aria-label="How to confirm"
                  orientation={methods.length > 3 ? "vertical" : "horizontal"}
                  data={methods.map((m) => ({ value: m, label: labels[m] }))}
                  value={method}
                  onChange={(v) => {
                    choose(v as Method);
                    setText("");
                    confirm.reset();
                  }}
                />
              )}
              {method === "password" && (
                <PasswordInput
                  label="Your password"
                  autoComplete="current-password"
                  required
                  data-autofocus
                  value={text}
                  onChange={(e) => setText(e.currentTarget.value)}
                />
              )}
              {(method === "totp" || method === "recovery_code") && (
                <TextInput
                  label={method === "totp" ? "Code of the app" : "Recovery code"}
                  autoComplete="one-time-code"
                  inputMode={method === "totp" ? "numeric" : "text"}
                  required
                  data-autofocus
                  value={text}
                  onChange={(e) => setText(e.currentTarget.value)}
                />
              )}
              <Group justify="flex-end">
                <Button variant="default" onClick={() => modals.closeAll()}>
                  Cancel
                </Button>
                <Button type="submit" loading={confirm.isPending}>
                  {method === "passkey" ? "Use a passkey" : "Confirm"}
                </Button>
              </Group>
            </Stack>
          </form>
        );
      }}
    </Loaded>
  );
}
