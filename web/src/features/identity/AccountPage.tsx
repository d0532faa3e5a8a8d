import { Button, Group, PasswordInput, Stack } from "@mantine/core";
import { useForm } from "@mantine/form";
import { done, refuse } from "../../ui/notify";
import { Page } from "../../ui/Page";
import { Section } from "../../ui/Section";
import { Failed, Loaded } from "../../ui/states";
import { useChangePassword } from "./accountApi";
import { useMe } from "./api";
import { NewPassword } from "./NewPassword";
import { OwnLinks } from "./OwnLinks";
import { Profile } from "./Profile";
import { MIN_PASSWORD } from "./password";
import { Sessions } from "./Sessions";
import { TwoFactor } from "./TwoFactor";

/** A person's own account: the same in every organisation. */
export function AccountPage() {
  const me = useMe();
  return (
    <Page title="Your account" lead="It is yours, whichever organisation you work in.">
      <Loaded query={me}>
        {(account) => {
          if (account.impersonatedBy) {
            return (
              <Failed
                error={new Error("While you act as somebody else their account is not yours to see. End it first.")}
              />
            );
          }
          const restricted = account.step === "enrol";
          return (
            <Stack gap="lg">
              <Profile account={account} />
              <TwoFactor />
              {!restricted && <Password email={account.user.email} name={account.user.name} />}
              {!restricted && <OwnLinks />}
              {!restricted && <Sessions />}
            </Stack>
          );
        }}
      </Loaded>
    </Page>
  );
}

function Password({ email, name }: { email: string; name: string }) {
  const change = useChangePassword();
  const form = useForm({
    initialValues: { currentPassword: "", password: "" },
    validate: {
      currentPassword: (v) => (v ? null : "Enter the password you have."),
      password: (v) => (v.length >= MIN_PASSWORD ? null : `At least ${MIN_PASSWORD} characters.`),
    },
  });
  return (
    <Section title="Password" lead="When you change it, your other sessions end.">
      <form
        noValidate
        onSubmit={form.onSubmit((v) =>
          change.mutate(v, {
            onSuccess: () => {
              form.reset();
              done("Your password is changed. Your other sessions have ended.");
            },
            onError: (e) => refuse(form, e),
          }),
        )}
      >
        <input type="text" name="username" autoComplete="username" value={email} readOnly hidden />
        <Stack maw={420}>
          <PasswordInput
            label="Password you have"
            autoComplete="current-password"
            required
            {...form.getInputProps("currentPassword")}
          />
          <NewPassword label="New password" personal={[name, email]} {...form.getInputProps("password")} />
          <Group>
            <Button type="submit" loading={change.isPending}>
              Change the password
            </Button>
          </Group>
        </Stack>
      </form>
    </Section>
  );
}
