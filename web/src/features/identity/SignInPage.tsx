import { Alert, Anchor, Button, Divider, Group, PasswordInput, Stack, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { IconBuilding, IconFingerprint } from "@tabler/icons-react";
import { useMutation } from "@tanstack/react-query";
import { Link, useRouter, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { messageOf } from "../../api/client";
import type { Account } from "../../api/types";
import { askPasskey, signIn, signInByPasskey, useArrive, useSetupState, useSignInWays } from "./api";
import { Door } from "./Door";
import { passkeysHere, readPasskey } from "./passkeys";
import { SecondFactor } from "./SecondFactor";
import { startSSO } from "./ssoApi";

/** Only a path of our own: "//host" and "https://host" would lead away. */
export const ownPath = (next: string | undefined) => (next?.startsWith("/") && !/^\/[/\\]/.test(next) ? next : "/");

export function SignInPage() {
  const { next, ended } = useSearch({ from: "/sign-in" });
  const router = useRouter();
  const arrive = useArrive();
  const [pending, setPending] = useState<Account>();
  const goOn = (account: Account) => {
    if (account.step === "second_factor") return setPending(account);
    arrive(account);
    router.history.push(ownPath(next));
  };
  if (pending) {
    return (
      <Door title="One more step" lead="Your password was right. Now prove it with your second factor.">
        <SecondFactor pending={pending} onDone={goOn} onBack={() => setPending(undefined)} />
      </Door>
    );
  }
  return (
    <Door
      title="Sign in"
      lead={ended ? "Your session has ended. Sign in and go on where you were." : "Good to see you."}
    >
      <Ways onDone={goOn} returnTo={ownPath(next)} />
    </Door>
  );
}

function Ways({ onDone, returnTo }: { onDone: (account: Account) => void; returnTo: string }) {
  const setup = useSetupState();
  const ways = useSignInWays();
  const form = useForm({ initialValues: { email: "", password: "" } });
  const enter = useMutation({ mutationFn: signIn, onSuccess: onDone });
  const passkey = useMutation({
    mutationFn: async () => {
      const { challenge, options } = await askPasskey();
      return signInByPasskey({ challenge, credential: await readPasskey(options) });
    },
    onSuccess: onDone,
  });
  const sso = useMutation({
    mutationFn: async () => {
      if (!/^\S+@\S+$/.test(form.values.email))
        throw new Error("Type your e-mail address first; it says where you sign in.");
      const { redirectUrl } = await startSSO(form.values.email, returnTo);
      if (!redirectUrl) throw new Error("There is no single sign-on for this address. Use your password.");
      location.assign(redirectUrl);
    },
  });
  const failure = enter.error ?? passkey.error ?? sso.error;
  return (
    <form
      onSubmit={form.onSubmit((v) => {
        passkey.reset();
        sso.reset();
        enter.mutate(v);
      })}
    >
      <Stack>
        {setup.data?.needsOwner && (
          <Alert variant="light" color="clay" title="Nobody has an account yet">
            Open the link that Parley printed in its terminal: it creates the first account.
          </Alert>
        )}
        {failure && (
          <Alert variant="light" color="red" role="alert">
            {messageOf(failure)}
          </Alert>
        )}
        <TextInput
          label="E-mail"
          type="email"
          autoComplete="username"
          required
          data-autofocus
          {...form.getInputProps("email")}
        />
        <PasswordInput label="Password" autoComplete="current-password" required {...form.getInputProps("password")} />
        <Button type="submit" loading={enter.isPending} fullWidth mt="xs">
          Sign in
        </Button>
        <Divider label="or" />
        {ways.data?.passkey && passkeysHere() && (
          <Button
            variant="default"
            leftSection={<IconFingerprint size={18} />}
            loading={passkey.isPending}
            onClick={() => {
              enter.reset();
              sso.reset();
              passkey.mutate();
            }}
          >
            Use a passkey
          </Button>
        )}
        <Button
          variant="default"
          leftSection={<IconBuilding size={18} />}
          loading={sso.isPending}
          onClick={() => {
            enter.reset();
            passkey.reset();
            sso.mutate();
          }}
        >
          Use single sign-on
        </Button>
        <Group justify="space-between" gap="xs">
          <Anchor component={Link} to="/forgot-password" size="sm" underline="always">
            Forgot your password?
          </Anchor>
          <Text size="xs" c="dimmed">
            Programs use the{" "}
            <Anchor href="/docs" size="xs" underline="always">
              API
            </Anchor>
          </Text>
        </Group>
      </Stack>
    </form>
  );
}
