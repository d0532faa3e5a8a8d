import { Alert, Anchor, Button, PasswordInput, Progress, Stack, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { ApiError, formErrors, messageOf } from "../../api/client";
import { createOwner, useSetupState } from "./api";
import { Door } from "./Door";
import { MIN_PASSWORD, strength } from "./password";

const colours = ["gray", "red", "orange", "pine", "pine"] as const;

/** Creates the owner and the organisation, by the one-time link from the terminal. */
export function SetupPage() {
  const { token } = useSearch({ from: "/setup" });
  const state = useSetupState();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const form = useForm({
    initialValues: { organisationName: "", name: "", email: "", password: "" },
    validate: {
      organisationName: (v) => (v.trim() ? null : "How is your organisation called?"),
      name: (v) => (v.trim() ? null : "What should colleagues call you?"),
      email: (v) => (/^\S+@\S+\.\S+$/.test(v) ? null : "An e-mail address looks like name@example.org."),
      password: (v) => (v.length >= MIN_PASSWORD ? null : `At least ${MIN_PASSWORD} characters.`),
    },
    validateInputOnBlur: true,
  });
  const create = useMutation({
    mutationFn: createOwner,
    onSuccess: async () => {
      queries.clear();
      await navigate({ to: "/" });
    },
    onError: (error) => form.setErrors(formErrors(error)),
  });
  const s = strength(form.values.password, form.values.name, form.values.email, form.values.organisationName);

  if (state.data && !state.data.needsOwner) {
    return (
      <Door title="Already set up" lead="This server has an owner; the link has done its work.">
        <Button component={Link} to="/sign-in" fullWidth>
          Sign in
        </Button>
      </Door>
    );
  }
  if (!token) {
    return (
      <Door title="Set up Parley" lead="The first account is made by a link that only you can see.">
        <Text size="sm">
          Open the link that Parley printed in its terminal when it started. It holds a one-time token. Without it, run{" "}
          <code>parley user create --owner</code> on the server.
        </Text>
      </Door>
    );
  }
  return (
    <Door title="Set up Parley" lead="You will be the owner. Two agents are waiting to be talked to.">
      <form noValidate onSubmit={form.onSubmit((v) => create.mutate({ ...v, token }))}>
        <Stack>
          {create.isError && (
            <Alert color="red" variant="light" role="alert">
              {messageOf(create.error)}
              {create.error instanceof ApiError && create.error.status === 409 && (
                <>
                  {" "}
                  <Anchor component={Link} to="/sign-in" size="sm">
                    Sign in
                  </Anchor>
                </>
              )}
            </Alert>
          )}
          <TextInput
            label="Organisation"
            placeholder="Lakeside Clinic"
            autoComplete="organization"
            required
            data-autofocus
            {...form.getInputProps("organisationName")}
          />
          <TextInput label="Your name" autoComplete="name" required {...form.getInputProps("name")} />
          <TextInput label="E-mail" type="email" autoComplete="username" required {...form.getInputProps("email")} />
          <div>
            <PasswordInput
              label="Password"
              autoComplete="new-password"
              required
              aria-describedby="password-hint"
              {...form.getInputProps("password")}
            />
            <Progress
              value={s.score * 25}
              color={colours[s.score]}
              size={4}
              mt={8}
              aria-label="Strength of the password"
            />
            <Text id="password-hint" size="xs" c="dimmed" mt={4} aria-live="polite">
              {s.hint}
            </Text>
          </div>
          <Button type="submit" loading={create.isPending} fullWidth mt="xs">
            Create the owner
          </Button>
        </Stack>
      </form>
    </Door>
  );
}
