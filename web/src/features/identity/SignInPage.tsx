import { Alert, Anchor, Button, PasswordInput, Stack, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useRouter, useSearch } from "@tanstack/react-router";
import { messageOf } from "../../api/client";
import { signIn, useSetupState } from "./api";
import { Door } from "./Door";

export function SignInPage() {
  const { next, ended } = useSearch({ from: "/sign-in" });
  const queries = useQueryClient();
  const router = useRouter();
  const setup = useSetupState();
  const form = useForm({ initialValues: { email: "", password: "" } });
  const enter = useMutation({
    mutationFn: signIn,
    onSuccess: async () => {
      queries.removeQueries({ queryKey: ["me"] });
      // Only a path of our own: "//host" and "https://host" would lead away.
      const to = next?.startsWith("/") && !next.startsWith("//") ? next : "/";
      router.history.push(to);
    },
  });
  return (
    <Door
      title="Sign in"
      lead={ended ? "Your session has ended. Sign in and go on where you were." : "Good to see you."}
    >
      <form onSubmit={form.onSubmit((v) => enter.mutate(v))}>
        <Stack>
          {setup.data?.needsOwner && (
            <Alert variant="light" color="clay" title="Nobody has an account yet">
              Open the link that Parley printed in its terminal: it creates the first account.
            </Alert>
          )}
          {enter.isError && (
            <Alert variant="light" color="red" role="alert">
              {messageOf(enter.error)}
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
          <PasswordInput
            label="Password"
            autoComplete="current-password"
            required
            {...form.getInputProps("password")}
          />
          <Button type="submit" loading={enter.isPending} fullWidth mt="xs">
            Sign in
          </Button>
          <Text size="xs" c="dimmed">
            Forgotten? Whoever runs the server can make you a new account with <code>parley user create</code>. The{" "}
            <Anchor href="/docs" size="xs" underline="always">
              API
            </Anchor>{" "}
            takes tokens instead.
          </Text>
        </Stack>
      </form>
    </Door>
  );
}
