import { Alert, Button, Stack, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { ApiError, messageOf } from "../../api/client";
import { Rows } from "../../ui/states";
import { forgot, resetPassword, useSignInWays } from "./api";
import { Door } from "./Door";
import { useFragment } from "./fragment";
import { NewPassword } from "./NewPassword";
import { MIN_PASSWORD } from "./password";

const toSignIn = (
  <Button component={Link} to="/sign-in" variant="default" fullWidth>
    Back to signing in
  </Button>
);

/** Asks for a reset link. */
export function ForgotPage() {
  const ways = useSignInWays();
  const form = useForm({ initialValues: { email: "" } });
  const ask = useMutation({ mutationFn: ({ email }: { email: string }) => forgot(email) });
  if (ways.isPending) {
    return (
      <Door title="Forgot your password?" lead="One moment.">
        <Rows n={2} />
      </Door>
    );
  }
  if (ways.data && !ways.data.mail) {
    return (
      <Door title="Forgot your password?" lead="This server sends no mail, so a person helps you.">
        <Stack>
          <Text size="sm">
            Ask an administrator of your organisation for a reset link: they make it under Settings, People.
          </Text>
          {toSignIn}
        </Stack>
      </Door>
    );
  }
  if (ask.isSuccess) {
    return (
      <Door title="Look into your mail" lead="If somebody has this address, a link is on its way.">
        <Stack>
          <Text size="sm">It works once, for 10 minutes. Nothing came? Look among spam, or ask an administrator.</Text>
          {toSignIn}
        </Stack>
      </Door>
    );
  }
  return (
    <Door title="Forgot your password?" lead="We send you a link that lets you choose a new one.">
      <form onSubmit={form.onSubmit((v) => ask.mutate(v))}>
        <Stack>
          {ask.isError && (
            <Alert variant="light" color="red" role="alert">
              {messageOf(ask.error)}
            </Alert>
          )}
          <TextInput label="E-mail" type="email" autoComplete="username" required {...form.getInputProps("email")} />
          <Button type="submit" loading={ask.isPending} fullWidth>
            Send the link
          </Button>
          {toSignIn}
        </Stack>
      </form>
    </Door>
  );
}

/** Chooses a new password with the token of a reset link. */
export function ResetPage() {
  const token = useFragment("token");
  const form = useForm({
    initialValues: { password: "" },
    validate: { password: (v) => (v.length >= MIN_PASSWORD ? null : `At least ${MIN_PASSWORD} characters.`) },
  });
  const set = useMutation({ mutationFn: (password: string) => resetPassword({ token, password }) });
  if (!token) {
    return (
      <Door title="This link is not whole" lead="Part of the address is missing.">
        <Stack>
          <Text size="sm">Open the link in the letter again, or copy all of it into the address bar.</Text>
          {toSignIn}
        </Stack>
      </Door>
    );
  }
  if (set.isSuccess) {
    return (
      <Door title="Your password is changed" lead="Wherever you were signed in, you are signed out.">
        <Button component={Link} to="/sign-in" fullWidth>
          Sign in
        </Button>
      </Door>
    );
  }
  const field = set.error instanceof ApiError && set.error.fields.find((f) => f.location === "body.password");
  return (
    <Door title="Choose a new password" lead="The link works once.">
      <form noValidate onSubmit={form.onSubmit((v) => set.mutate(v.password))}>
        <Stack>
          {set.isError && (
            <Alert variant="light" color="red" role="alert">
              {field ? field.message : messageOf(set.error)}
            </Alert>
          )}
          <NewPassword label="New password" data-autofocus {...form.getInputProps("password")} />
          <Button type="submit" loading={set.isPending} fullWidth>
            Change the password
          </Button>
        </Stack>
      </form>
    </Door>
  );
}
