import {
  Accordion,
  Button,
  Checkbox,
  Group,
  Modal,
  NumberInput,
  PasswordInput,
  Select,
  Stack,
  Switch,
  TextInput,
} from "@mantine/core";
import { type UseFormReturnType, useForm } from "@mantine/form";
import { useState } from "react";
import type { Trunk } from "../../api/types";
import { type Begun, Editing } from "../../ui/Editing";
import { done, refuse } from "../../ui/notify";
import { readTrunk, useChangeTrunk, useCreateTrunk } from "./trunkApi";

const blank = {
  name: "",
  address: "",
  transport: "udp" as Trunk["transport"],
  username: "",
  domain: "",
  proxy: "",
  numberFormat: "e164" as Trunk["numberFormat"],
  prefix: "",
  assertIdentity: false,
  lines: 10,
  perSecond: 2,
  encryptedOnly: false,
  enabled: true,
};
type Settings = typeof blank;
type Values = Settings & { password: string };

/** The window in which a trunk is added. */
export function NewTrunk({ opened, close }: { opened: boolean; close: () => void }) {
  const create = useCreateTrunk();
  const form = useForm<Values>({ initialValues: { ...blank, password: "" } });
  const submit = form.onSubmit(async ({ password, ...v }) => {
    try {
      await create.mutateAsync({ ...v, ...(password ? { password } : {}) });
      form.reset();
      close();
    } catch (e) {
      refuse(form, e);
    }
  });
  return (
    <Modal opened={opened} onClose={close} title="Add a trunk" size="lg">
      <form noValidate onSubmit={submit}>
        <Stack>
          <Fields form={form} />
          <PasswordInput
            label="Password"
            description="Kept encrypted, and never shown again"
            autoComplete="new-password"
            {...form.getInputProps("password")}
          />
          <More form={form} />
          <Buttons close={close} label="Add the trunk" loading={create.isPending} />
        </Stack>
      </form>
    </Modal>
  );
}

/** The window in which a trunk is changed; null while none is. */
export function ChangeTrunk({ trunk, close }: { trunk: Trunk | null; close: () => void }) {
  return (
    <Modal opened={trunk !== null} onClose={close} title={`Trunk ${trunk?.name}`} size="lg">
      {trunk && (
        <Editing of={["trunk", trunk.id]} read={readTrunk(trunk.id)}>
          {(begun) => <Change begun={begun} close={close} />}
        </Editing>
      )}
    </Modal>
  );
}

function Change({ begun, close }: { begun: Begun<Trunk>; close: () => void }) {
  const t = begun.value;
  const change = useChangeTrunk();
  const [fresh, setFresh] = useState(!t.passwordSet);
  const settings = Object.fromEntries(Object.keys(blank).map((k) => [k, t[k as keyof Settings]])) as Settings;
  const form = useForm<Values>({ initialValues: { ...settings, password: "" } });
  const submit = form.onSubmit(async ({ password, ...mine }) => {
    const secret = fresh && (password !== "" || t.passwordSet) ? { password } : {};
    try {
      await begun.save(mine, (tag) => change.mutateAsync({ id: t.id, tag, ...mine, ...secret }));
      done("The trunk was changed.");
      close();
    } catch (e) {
      refuse(form, e);
    }
  });
  return (
    <form noValidate onSubmit={submit}>
      <Stack>
        <Fields form={form} />
        {t.passwordSet && (
          <Checkbox
            label="Replace or remove the password"
            checked={fresh}
            onChange={(e) => setFresh(e.currentTarget.checked)}
          />
        )}
        {fresh && (
          <PasswordInput
            label="Password"
            description={t.passwordSet ? "Empty removes it" : "Kept encrypted, and never shown again"}
            autoComplete="new-password"
            {...form.getInputProps("password")}
          />
        )}
        <More form={form} />
        <Switch label="Calls may go through it" {...form.getInputProps("enabled", { type: "checkbox" })} />
        <Buttons close={close} label="Save" loading={change.isPending} />
      </Stack>
    </form>
  );
}

function Buttons(props: { close: () => void; label: string; loading: boolean }) {
  return (
    <Group justify="flex-end">
      <Button variant="default" onClick={props.close}>
        Cancel
      </Button>
      <Button type="submit" loading={props.loading}>
        {props.label}
      </Button>
    </Group>
  );
}

function Fields({ form }: { form: UseFormReturnType<Values> }) {
  return (
    <>
      <TextInput label="Name" placeholder="Our carrier" data-autofocus required {...form.getInputProps("name")} />
      <Group grow align="flex-start">
        <TextInput
          label="Address"
          description="Host, or host:port"
          placeholder="sip.example.com"
          required
          {...form.getInputProps("address")}
        />
        <Select
          label="Transport"
          description="As the carrier says"
          data={[
            { value: "udp", label: "UDP" },
            { value: "tcp", label: "TCP" },
            { value: "tls", label: "TLS (encrypted)" },
          ]}
          allowDeselect={false}
          {...form.getInputProps("transport")}
        />
      </Group>
      <Group grow align="flex-start">
        <NumberInput label="Calls at once" min={1} max={10000} {...form.getInputProps("lines")} />
        <NumberInput label="Calls begun a second" min={1} max={1000} {...form.getInputProps("perSecond")} />
      </Group>
      <TextInput
        label="User name"
        description="Empty where the carrier knows us by our address"
        autoComplete="off"
        {...form.getInputProps("username")}
      />
    </>
  );
}

const folded = ["numberFormat", "prefix", "domain", "proxy", "assertIdentity", "encryptedOnly"];

function More({ form }: { form: UseFormReturnType<Values> }) {
  const [open, setOpen] = useState<string | null>(null);
  const wrong = folded.some((field) => form.errors[field]); // what is wrong has to be seen
  return (
    <Accordion variant="contained" value={wrong ? "more" : open} onChange={setOpen}>
      <Accordion.Item value="more">
        <Accordion.Control>Numbers, domain and encryption</Accordion.Control>
        <Accordion.Panel>
          <Stack>
            <Group grow align="flex-start">
              <Select
                label="Numbers are written as"
                data={[
                  { value: "e164", label: "+4930123456" },
                  { value: "digits", label: "4930123456" },
                ]}
                allowDeselect={false}
                {...form.getInputProps("numberFormat")}
              />
              <TextInput
                label="Prefix"
                description="Dialled before every number"
                placeholder="00"
                {...form.getInputProps("prefix")}
              />
            </Group>
            <TextInput
              label="Domain"
              description="In the caller's address; empty is this server's own"
              placeholder="customer.example.com"
              {...form.getInputProps("domain")}
            />
            <TextInput
              label="Proxy"
              description="Host or host:port that messages go through on their way"
              {...form.getInputProps("proxy")}
            />
            <Checkbox
              label="Name the caller in P-Asserted-Identity too"
              description="For carriers that take the caller's number from there"
              {...form.getInputProps("assertIdentity", { type: "checkbox" })}
            />
            <Checkbox
              label="Only encrypted"
              description="No call without SRTP; needs TLS"
              {...form.getInputProps("encryptedOnly", { type: "checkbox" })}
            />
          </Stack>
        </Accordion.Panel>
      </Accordion.Item>
    </Accordion>
  );
}
