import { Alert, Anchor, Button, Stack, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { ApiError, formErrors, messageOf } from "../../api/client";
import { createOwner, useSetupState } from "./api";
import { Door } from "./Door";
import { useFragment } from "./fragment";
import { NewPassword } from "./NewPassword";
import { MIN_PASSWORD } from "./password";

/** Creates the owner and the organisation, by the one-time link from the terminal. */
export function SetupPage() {
  const token = useFragment("token");
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
          <NewPassword
            personal={[form.values.name, form.values.email, form.values.organisationName]}
            {...form.getInputProps("password")}
          />
          <Button type="submit" loading={create.isPending} fullWidth mt="xs">
            Create the owner
          </Button>
        </Stack>
      </form>
    </Door>
  );
}
