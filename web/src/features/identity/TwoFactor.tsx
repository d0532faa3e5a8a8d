import { ActionIcon, Alert, Badge, Button, Group, Menu, Modal, Stack, Table, Text, TextInput } from "@mantine/core";
import {
  IconDeviceMobile,
  IconDots,
  IconFingerprint,
  IconLifebuoy,
  IconPencil,
  IconPlus,
  IconTrash,
} from "@tabler/icons-react";
import { type FormEvent, type ReactNode, useState } from "react";
import { formErrors, messageOf } from "../../api/client";
import type { MFA, Passkey } from "../../api/types";
import { Copy } from "../../ui/Copy";
import { since, when } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { confirm, done, failed } from "../../ui/notify";
import { Section } from "../../ui/Section";
import { Loaded } from "../../ui/states";
import {
  useAddPasskey,
  useBeginTOTP,
  useFinishTOTP,
  useMFA,
  useNewRecoveryCodes,
  useRemovePasskey,
  useRemoveTOTP,
  useRenamePasskey,
} from "./accountApi";
import { useSignInWays } from "./api";
import { passkeysHere } from "./passkeys";
import { Qr } from "./Qr";
import { RecoveryCodes } from "./RecoveryCodes";

/** What guards the account besides the password. */
export function TwoFactor() {
  const mfa = useMFA();
  const [codes, setCodes] = useState<string[]>([]);
  return (
    <Section
      title="Two-factor sign-in"
      lead="With a second factor, a stolen password alone opens nothing. A passkey also lets you in without the password."
    >
      <Loaded query={mfa} rows={3}>
        {(data) => (
          <Stack gap="lg">
            {data.required && !data.totp && data.passkeys.length === 0 && (
              <Alert color="clay" variant="light" title="Your organisation asks for a second factor">
                Add an authenticator app or a passkey. Until then nothing else is open to you.
              </Alert>
            )}
            <App totp={data.totp} onCodes={setCodes} />
            <Passkeys passkeys={data.passkeys} onCodes={setCodes} />
            <Recovery data={data} onCodes={setCodes} />
          </Stack>
        )}
      </Loaded>
      <RecoveryCodes codes={codes} close={() => setCodes([])} />
    </Section>
  );
}

function Way(props: { icon: ReactNode; title: string; state: ReactNode; action?: ReactNode; children?: ReactNode }) {
  return (
    <Stack gap="sm">
      <Group justify="space-between" gap="sm">
        <Group gap="sm" wrap="nowrap">
          {props.icon}
          <div>
            <Text fw={600}>{props.title}</Text>
            <Text size="sm" c="dimmed" component="div">
              {props.state}
            </Text>
          </div>
        </Group>
        {props.action}
      </Group>
      {props.children}
    </Stack>
  );
}

type Codes = { onCodes: (codes: string[]) => void };

function App({ totp, onCodes }: { totp: MFA["totp"] } & Codes) {
  const begin = useBeginTOTP();
  const remove = useRemoveTOTP();
  const [open, setOpen] = useState(false);
  const start = () => begin.mutate(undefined, { onSuccess: () => setOpen(true), onError: failed });
  return (
    <Way
      icon={<IconDeviceMobile size={22} aria-hidden />}
      title="Authenticator app"
      state={
        totp ? (
          <>
            Added {since(totp.createdAt)}
            {totp.lastUsedAt && `, last used ${since(totp.lastUsedAt)}`}
          </>
        ) : (
          "A code on your phone that changes every 30 seconds"
        )
      }
      action={
        totp ? (
          <Button
            variant="subtle"
            color="red"
            size="xs"
            loading={remove.isPending}
            onClick={() =>
              confirm({
                title: "Remove the authenticator app?",
                text: "Its codes stop working. Without another second factor only your password guards the account.",
                action: "Remove",
                onConfirm: () =>
                  remove.mutate(undefined, { onSuccess: () => done("The app was removed."), onError: failed }),
              })
            }
          >
            Remove
          </Button>
        ) : (
          <Button
            size="xs"
            variant="default"
            leftSection={<IconPlus size={14} />}
            onClick={start}
            loading={begin.isPending}
          >
            Set up the app
          </Button>
        )
      }
    >
      <Modal opened={open} onClose={() => setOpen(false)} title="Set up the authenticator app" size="lg">
        {begin.data && (
          <EnrolApp
            enrolment={begin.data}
            onDone={(codes) => {
              setOpen(false);
              done("The app is set up.");
              onCodes(codes);
            }}
          />
        )}
      </Modal>
    </Way>
  );
}

function EnrolApp(props: {
  enrolment: { challenge: string; secret: string; url: string };
  onDone: (codes: string[]) => void;
}) {
  const { challenge, secret, url } = props.enrolment;
  const finish = useFinishTOTP();
  const [code, setCode] = useState("");
  const submit = (e: FormEvent) => {
    e.preventDefault();
    finish.mutate(
      { challenge, code: code.replaceAll(" ", "") },
      { onSuccess: (r) => props.onDone(r.recoveryCodes), onError: () => setCode("") },
    );
  };
  return (
    <form onSubmit={submit}>
      <Group align="flex-start" gap="lg">
        <Qr text={url} label="QR code for the authenticator app" />
        <Stack style={{ flex: "1 1 240px" }}>
          <Text size="sm">
            Scan it with an app such as Aegis, 2FAS, Google Authenticator or 1Password. No camera? Type this key:
          </Text>
          <Copy value={secret} label="the key" />
          <TextInput
            label="Code that the app shows now"
            inputMode="numeric"
            autoComplete="one-time-code"
            maxLength={7}
            required
            data-autofocus
            value={code}
            onChange={(e) => setCode(e.currentTarget.value)}
            error={finish.isError && (formErrors(finish.error).code ?? messageOf(finish.error))}
          />
          <Button type="submit" loading={finish.isPending} disabled={code.replaceAll(" ", "").length !== 6}>
            Add the app
          </Button>
        </Stack>
      </Group>
    </form>
  );
}

function Passkeys({ passkeys, onCodes }: { passkeys: Passkey[] } & Codes) {
  const ways = useSignInWays();
  const add = useAddPasskey();
  const here = passkeysHere() && ways.data?.passkey;
  return (
    <Way
      icon={<IconFingerprint size={22} aria-hidden />}
      title="Passkeys"
      state={
        ways.data && !here
          ? "Passkeys need a name with https, or http://localhost on this machine. At this address they do not work."
          : "Your device's finger, face or PIN, or a security key"
      }
      action={
        here && (
          <Button
            size="xs"
            variant="default"
            leftSection={<IconPlus size={14} />}
            loading={add.isPending}
            onClick={() =>
              add.mutate("", {
                onSuccess: (r) => {
                  done("The passkey was added.");
                  onCodes(r.recoveryCodes);
                },
                onError: failed,
              })
            }
          >
            Add a passkey
          </Button>
        )
      }
    >
      {passkeys.length > 0 && (
        <Listing minWidth={420}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Passkey</Table.Th>
              <Table.Th>Added</Table.Th>
              <Table.Th>Last used</Table.Th>
              <Table.Th aria-label="Actions" />
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {passkeys.map((k) => (
              <PasskeyRow key={k.id} passkey={k} />
            ))}
          </Table.Tbody>
        </Listing>
      )}
    </Way>
  );
}

function PasskeyRow({ passkey: k }: { passkey: Passkey }) {
  const remove = useRemovePasskey();
  const [renaming, setRenaming] = useState(false);
  return (
    <Table.Tr>
      <Table.Td fw={600}>
        {k.name} {k.synced && <Badge color="gray">synced</Badge>}
        <Rename passkey={k} opened={renaming} close={() => setRenaming(false)} />
      </Table.Td>
      <Table.Td>{when(k.createdAt)}</Table.Td>
      <Table.Td>{k.lastUsedAt ? when(k.lastUsedAt) : "Never"}</Table.Td>
      <Table.Td ta="right">
        <Menu position="bottom-end">
          <Menu.Target>
            <ActionIcon variant="subtle" color="gray" aria-label={`Actions for ${k.name}`}>
              <IconDots size={18} />
            </ActionIcon>
          </Menu.Target>
          <Menu.Dropdown>
            <Menu.Item leftSection={<IconPencil size={16} />} onClick={() => setRenaming(true)}>
              Rename
            </Menu.Item>
            <Menu.Item
              color="red"
              leftSection={<IconTrash size={16} />}
              onClick={() =>
                confirm({
                  title: `Delete “${k.name}”?`,
                  text: "It no longer signs you in. Delete it on the device too.",
                  action: "Delete",
                  onConfirm: () =>
                    remove.mutate(k.id, { onSuccess: () => done("The passkey was deleted."), onError: failed }),
                })
              }
            >
              Delete
            </Menu.Item>
          </Menu.Dropdown>
        </Menu>
      </Table.Td>
    </Table.Tr>
  );
}

function Rename({ passkey, opened, close }: { passkey: Passkey; opened: boolean; close: () => void }) {
  const rename = useRenamePasskey();
  const [name, setName] = useState(passkey.name);
  const submit = (e: FormEvent) => {
    e.preventDefault();
    rename.mutate({ id: passkey.id, name: name.trim() }, { onSuccess: close, onError: failed });
  };
  return (
    <Modal opened={opened} onClose={close} title="Rename the passkey">
      <form onSubmit={submit}>
        <Stack>
          <TextInput
            label="Name"
            required
            maxLength={120}
            data-autofocus
            value={name}
            onChange={(e) => setName(e.currentTarget.value)}
          />
          <Button type="submit" loading={rename.isPending} disabled={!name.trim()}>
            Save
          </Button>
        </Stack>
      </form>
    </Modal>
  );
}

function Recovery({ data, onCodes }: { data: MFA } & Codes) {
  const renew = useNewRecoveryCodes();
  if (!data.totp && data.passkeys.length === 0) return null;
  const left = data.recoveryCodes;
  return (
    <Way
      icon={<IconLifebuoy size={22} aria-hidden />}
      title="Recovery codes"
      state={left === 0 ? "None are left: make new ones" : `${left} left, for the day your device is gone`}
      action={
        <Button
          size="xs"
          variant="default"
          loading={renew.isPending}
          onClick={() =>
            confirm({
              title: "Make new recovery codes?",
              text: "The ones you have stop working.",
              action: "Make new ones",
              onConfirm: () => renew.mutate(undefined, { onSuccess: (r) => onCodes(r.recoveryCodes), onError: failed }),
            })
          }
        >
          New codes
        </Button>
      }
    />
  );
}
