import { Alert, Button, Stack, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { messageOf } from "../../api/client";
import { since } from "../../ui/format";
import { refuse } from "../../ui/notify";
import { Rows } from "../../ui/states";
import { acceptInvitation, findInvitation, joinByInvitation, signOut, useArrive, useMe } from "./api";
import { Door } from "./Door";
import { useFragment } from "./fragment";
import { NewPassword } from "./NewPassword";
import { MIN_PASSWORD } from "./password";

/** What an invitation's link opens: a new account, or one more organisation for those who have one. */
export function InvitationPage() {
  const token = useFragment("token");
  const found = useQuery({
    queryKey: ["invitation", token],
    queryFn: () => findInvitation(token),
    enabled: token !== "",
    retry: false,
  });
  if (found.data) {
    const { organisation, roleName, email, expiresAt, hasAccount } = found.data;
    return (
      <Door
        title={`Join ${organisation}`}
        lead={`You are invited as ${roleName}. The link works until ${since(expiresAt)}.`}
      >
        {hasAccount ? <Join token={token} email={email} /> : <Accept token={token} email={email} />}
      </Door>
    );
  }
  if (token && !found.isError) {
    return (
      <Door title="Your invitation" lead="One moment.">
        <Rows n={3} />
      </Door>
    );
  }
  return (
    <Door title="This invitation does not work" lead="It was used, has ended, or part of the address is missing.">
      <Stack>
        {found.isError && <Text size="sm">{messageOf(found.error)}</Text>}
        <Text size="sm">Ask whoever invited you for a new link.</Text>
        <Button component={Link} to="/sign-in" variant="default" fullWidth>
          Sign in
        </Button>
      </Stack>
    </Door>
  );
}

function Accept({ token, email }: { token: string; email: string }) {
  const arrive = useArrive();
  const navigate = useNavigate();
  const form = useForm({
    initialValues: { name: "", password: "" },
    validate: {
      name: (v) => (v.trim() ? null : "What should colleagues call you?"),
      password: (v) => (v.length >= MIN_PASSWORD ? null : `At least ${MIN_PASSWORD} characters.`),
    },
    validateInputOnBlur: true,
  });
  const accept = useMutation({
    mutationFn: acceptInvitation,
    onSuccess: async (account) => {
      arrive(account);
      await navigate({ to: "/" });
    },
    onError: (e) => refuse(form, e),
  });
  return (
    <form noValidate onSubmit={form.onSubmit((v) => accept.mutate({ ...v, name: v.name.trim(), token }))}>
      <Stack>
        <TextInput label="E-mail" type="email" value={email} readOnly autoComplete="username" />
        <TextInput label="Your name" autoComplete="name" required data-autofocus {...form.getInputProps("name")} />
        <NewPassword personal={[form.values.name, email]} {...form.getInputProps("password")} />
        <Button type="submit" loading={accept.isPending} fullWidth>
          Accept the invitation
        </Button>
      </Stack>
    </form>
  );
}

function Join({ token, email }: { token: string; email: string }) {
  const me = useMe();
  const arrive = useArrive();
  const join = useMutation({
    mutationFn: () => joinByInvitation(token),
    onSuccess: () => location.assign("/"),
  });
  const leave = useMutation({ mutationFn: signOut, onSuccess: () => arrive(undefined) });
  if (me.isPending) return <Rows n={2} />;
  if (!me.data) {
    return (
      <Stack>
        <Text size="sm">You have an account with {email}. Sign in with it, and you come back here.</Text>
        <Button renderRoot={(p) => <Link {...p} to="/sign-in" search={{ next: "/invitation" }} />} fullWidth>
          Sign in
        </Button>
      </Stack>
    );
  }
  const mine = me.data.user.email.toLowerCase() === email.toLowerCase();
  return (
    <Stack>
      {join.isError && (
        <Alert variant="light" color="red" role="alert">
          {messageOf(join.error)}
        </Alert>
      )}
      {mine ? (
        <>
          <Text size="sm">You are signed in as {email}. Your other organisations stay as they are.</Text>
          <Button onClick={() => join.mutate()} loading={join.isPending} fullWidth>
            Join
          </Button>
        </>
      ) : (
        <>
          <Text size="sm">
            The invitation is for {email}, and you are signed in as {me.data.user.email}.
          </Text>
          <Button variant="default" onClick={() => leave.mutate()} loading={leave.isPending} fullWidth>
            Sign out
          </Button>
        </>
      )}
    </Stack>
  );
}
