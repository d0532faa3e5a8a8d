import {
  Button,
  Fieldset,
  Group,
  NumberInput,
  PasswordInput,
  SegmentedControl,
  Select,
  SimpleGrid,
  Stack,
  Switch,
  TagsInput,
  Text,
  Textarea,
  TextInput,
} from "@mantine/core";
import { type UseFormReturnType, useForm } from "@mantine/form";
import type { Begun } from "../../ui/Editing";
import { done, refuse } from "../../ui/notify";
import { useMay, useMe } from "./api";
import { useRoles } from "./peopleApi";
import { type Connection, useChangeConnection, useMakeConnection } from "./ssoApi";
import { fromFields, lines, overwritten, type SsoFields, toFields } from "./ssoFields";

type Form = UseFormReturnType<SsoFields>;

/** How the provider is reached, what its people become here, and how well it must have made sure of them. */
export function SsoForm({ begun, close }: { begun?: Begun<Connection>; close: () => void }) {
  const c = begun?.value;
  const owner = useMe().data?.role === "owner";
  const make = useMakeConnection();
  const change = useChangeConnection();
  const form = useForm({
    initialValues: toFields(c),
    validate: {
      name: (v) => (v.trim() ? null : "People see it when they sign in."),
      rules: (v) => (lines(v).every((l) => /.=\s*\S/.test(l)) ? null : "One rule a line: group = role."),
      longestSessionHours: (v) => (v === "" || (v >= 1 && v <= 168) ? null : "Between 1 hour and 7 days (168)."),
    },
  });
  const submit = form.onSubmit(async (v) => {
    const body = fromFields(v, owner);
    try {
      if (begun && c) await begun.save(overwritten(body, c), (tag) => change.mutateAsync({ id: c.id, tag, body }));
      else await make.mutateAsync(body);
      done(c ? "The connection was changed." : "The connection is made. Test it before people use it.");
      close();
    } catch (e) {
      refuse(form, e);
    }
  });
  return (
    <form noValidate onSubmit={submit}>
      <Stack>
        <TextInput
          label="Name"
          description="Shown to people who sign in"
          required
          maxLength={100}
          data-autofocus
          {...form.getInputProps("name")}
        />
        {!c && (
          <SegmentedControl
            aria-label="Protocol"
            data={[
              { value: "oidc", label: "OpenID Connect" },
              { value: "saml", label: "SAML" },
            ]}
            {...form.getInputProps("protocol")}
          />
        )}
        {form.values.protocol === "oidc" ? <OpenID form={form} hasSecret={c?.hasSecret} /> : <Saml form={form} />}
        <WhoComes form={form} owner={owner} />
        <HowSure form={form} />
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={make.isPending || change.isPending}>
            {c ? "Save" : "Make the connection"}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

function OpenID({ form, hasSecret }: { form: Form; hasSecret?: boolean }) {
  return (
    <Fieldset legend="The provider">
      <Stack>
        <TextInput label="Issuer" placeholder="https://login.example.org" required {...form.getInputProps("issuer")} />
        <SimpleGrid cols={{ base: 1, xs: 2 }}>
          <TextInput label="Client ID" required {...form.getInputProps("clientId")} />
          <PasswordInput
            label="Client secret"
            placeholder={hasSecret ? "Kept; type a new one to change it" : ""}
            autoComplete="off"
            {...form.getInputProps("clientSecret")}
          />
        </SimpleGrid>
        <SimpleGrid cols={{ base: 1, xs: 2 }}>
          <TextInput label="Claim with the e-mail address" placeholder="email" {...form.getInputProps("emailClaim")} />
          <TagsInput
            label="Scopes asked for"
            placeholder={form.values.scopes.length ? "" : "email, profile"}
            splitChars={[",", " "]}
            maxTags={20}
            {...form.getInputProps("scopes")}
          />
        </SimpleGrid>
      </Stack>
    </Fieldset>
  );
}

function Saml({ form }: { form: Form }) {
  return (
    <Fieldset legend="The provider">
      <Stack>
        <TextInput
          label="Address of the provider's metadata"
          placeholder="https://…"
          {...form.getInputProps("metadataUrl")}
        />
        {!form.values.metadataUrl.trim() && (
          <Textarea
            label="Or the metadata itself (XML)"
            autosize
            minRows={3}
            maxRows={8}
            classNames={{ input: "mono" }}
            {...form.getInputProps("metadata")}
          />
        )}
        <TextInput
          label="Attribute with the e-mail address"
          description="Empty: the usual names are tried"
          {...form.getInputProps("emailAttribute")}
        />
        <Switch
          label="Take sign-ins that begin at the provider"
          description="They cannot be tied to the browser that asked, so leave it off unless people start from the provider's portal."
          {...form.getInputProps("idpInitiated", { type: "checkbox" })}
        />
      </Stack>
    </Fieldset>
  );
}

function WhoComes({ form, owner }: { form: Form; owner: boolean }) {
  const roles = useRoles(useMay()("role:read"));
  const groups = form.values.roleClaim.trim() !== "";
  const own = (roles.data?.items ?? []).filter((r) => !r.builtIn);
  return (
    <Fieldset legend="Who comes in, and as what">
      <Stack>
        <Switch
          label="Let new people in"
          description="Who has an address in a verified domain becomes a member when they first sign in."
          {...form.getInputProps("justInTime", { type: "checkbox" })}
        />
        {owner && (
          <Switch
            label="Owners may use it too"
            description="Whoever runs the provider could then sign in as an owner."
            {...form.getInputProps("owners", { type: "checkbox" })}
          />
        )}
        <Select
          label="Role where no rule fits"
          data={[
            { value: "", label: "None: they are refused" },
            ...(roles.data?.items ?? []).filter((r) => r.id !== "owner").map((r) => ({ value: r.id, label: r.name })),
          ]}
          allowDeselect={false}
          {...form.getInputProps("defaultRole")}
        />
        <TextInput
          label="Claim with a person's groups"
          description="Empty: roles are not taken from the provider"
          placeholder="groups"
          {...form.getInputProps("roleClaim")}
        />
        {groups && (
          <Textarea
            label="Rules"
            description="One a line, group = id of a role; the first that fits decides"
            placeholder="Call centre leads = supervisor"
            autosize
            minRows={2}
            classNames={{ input: "mono" }}
            {...form.getInputProps("rules")}
          />
        )}
        {groups && own.length > 0 && (
          <Text size="xs" c="dimmed">
            Your roles: {own.map((r) => `${r.name} is ${r.id}`).join(", ")}
          </Text>
        )}
      </Stack>
    </Fieldset>
  );
}

function HowSure({ form }: { form: Form }) {
  return (
    <Fieldset legend="How sure, and for how long">
      <Stack>
        <Switch
          label="The provider must ask for a second factor"
          description="Who has not proved one there is refused. Off: the provider's own rules count."
          {...form.getInputProps("secondFactor", { type: "checkbox" })}
        />
        {form.values.secondFactor && (
          <TagsInput
            label="What counts as a second factor"
            description="Values of acr (OpenID Connect) or AuthnContextClassRef (SAML), as the provider sends them. Empty: the usual ones."
            placeholder={form.values.factorContexts.length ? "" : "https://refeds.org/profile/mfa"}
            splitChars={[",", " "]}
            maxTags={10}
            {...form.getInputProps("factorContexts")}
            error={
              form.errors.factorContexts ??
              Object.entries(form.errors).find(([field]) => field.startsWith("factorContexts["))?.[1]
            }
          />
        )}
        <NumberInput
          label="A session ends after"
          description="Whatever the use; then the provider is asked again. Empty: 7 days."
          placeholder="168 hours"
          suffix=" hours"
          min={1}
          max={168}
          clampBehavior="none"
          allowDecimal={false}
          {...form.getInputProps("longestSessionHours")}
        />
      </Stack>
    </Fieldset>
  );
}
