import {
  Button,
  Group,
  PasswordInput,
  SegmentedControl,
  Select,
  Stack,
  Switch,
  Text,
  Textarea,
  TextInput,
} from "@mantine/core";
import { useForm } from "@mantine/form";
import { done, refuse } from "../../ui/notify";
import { useMay } from "./api";
import { useRoles } from "./peopleApi";
import { type Connection, type NewConnection, useSaveConnection } from "./ssoApi";

/** How the provider is reached, and what its people become here. */
export function SsoForm({ connection: c, close }: { connection?: Connection; close: () => void }) {
  const save = useSaveConnection();
  const roles = useRoles(useMay()("role:read"));
  const form = useForm({
    initialValues: {
      name: c?.name ?? "",
      protocol: c?.protocol ?? "oidc",
      issuer: c?.oidc?.issuer ?? "",
      clientId: c?.oidc?.clientId ?? "",
      clientSecret: "",
      metadataUrl: c?.saml?.metadataUrl ?? "",
      metadata: c?.saml?.metadataUrl ? "" : (c?.saml?.metadata ?? ""),
      roleClaim: c?.roleClaim ?? "",
      rules: (c?.roles ?? []).map((r) => `${r.group} = ${r.role}`).join("\n"),
      defaultRole: c?.defaultRole ?? "viewer",
      justInTime: c?.justInTime ?? false,
    },
    validate: {
      name: (v) => (v.trim() ? null : "People see it when they sign in."),
      rules: (v) => (lines(v).every((l) => /.=\s*\S/.test(l)) ? null : "One rule a line: group = role."),
    },
  });
  const v = form.values;
  const submit = () => {
    const body: NewConnection = {
      name: v.name.trim(),
      protocol: v.protocol,
      roleClaim: v.roleClaim.trim(),
      defaultRole: v.defaultRole,
      justInTime: v.justInTime,
      roles: lines(v.rules).map((l) => {
        const at = l.lastIndexOf("=");
        return { group: l.slice(0, at).trim(), role: l.slice(at + 1).trim() };
      }),
    };
    if (v.protocol === "oidc") {
      body.oidc = {
        issuer: v.issuer.trim(),
        clientId: v.clientId.trim(),
        scopes: c?.oidc?.scopes ?? [],
        emailClaim: c?.oidc?.emailClaim ?? "",
      };
      if (v.clientSecret) body.clientSecret = v.clientSecret;
    } else {
      body.saml = {
        metadataUrl: v.metadataUrl.trim(),
        metadata: v.metadataUrl.trim() ? "" : v.metadata.trim(),
        emailAttribute: c?.saml?.emailAttribute ?? "",
        idpInitiated: c?.saml?.idpInitiated ?? false,
      } as NonNullable<NewConnection["saml"]>;
    }
    save.mutate(
      { ...(c ? { id: c.id } : {}), body },
      {
        onSuccess: () => {
          done(c ? "The connection was changed." : "The connection is made. Test it before people use it.");
          close();
        },
        onError: (e) => refuse(form, e),
      },
    );
  };
  return (
    <form noValidate onSubmit={form.onSubmit(submit)}>
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
        {v.protocol === "oidc" ? (
          <>
            <TextInput
              label="Issuer"
              placeholder="https://login.example.org"
              required
              {...form.getInputProps("issuer")}
            />
            <Group grow align="flex-start">
              <TextInput label="Client ID" required {...form.getInputProps("clientId")} />
              <PasswordInput
                label="Client secret"
                placeholder={c?.hasSecret ? "Kept; type a new one to change it" : ""}
                autoComplete="off"
                {...form.getInputProps("clientSecret")}
              />
            </Group>
          </>
        ) : (
          <>
            <TextInput
              label="Address of the provider's metadata"
              placeholder="https://…"
              {...form.getInputProps("metadataUrl")}
            />
            {!v.metadataUrl.trim() && (
              <Textarea
                label="Or the metadata itself (XML)"
                autosize
                minRows={3}
                maxRows={8}
                classNames={{ input: "mono" }}
                {...form.getInputProps("metadata")}
              />
            )}
          </>
        )}
        <Switch
          label="Let new people in"
          description="Who has an address in a verified domain becomes a member when they first sign in."
          {...form.getInputProps("justInTime", { type: "checkbox" })}
        />
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
        {v.roleClaim.trim() && (
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
        {(roles.data?.items ?? []).some((r) => !r.builtIn) && v.roleClaim.trim() && (
          <Text size="xs" c="dimmed">
            Your roles:{" "}
            {roles.data?.items
              .filter((r) => !r.builtIn)
              .map((r) => `${r.name} is ${r.id}`)
              .join(", ")}
          </Text>
        )}
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={save.isPending}>
            {c ? "Save" : "Make the connection"}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

const lines = (text: string) =>
  text
    .split("\n")
    .map((l) => l.trim())
    .filter(Boolean);
