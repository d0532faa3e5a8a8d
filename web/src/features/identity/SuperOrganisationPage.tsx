import {
  Alert,
  Anchor,
  Badge,
  Button,
  Group,
  Modal,
  Select,
  Stack,
  Table,
  Text,
  Textarea,
  TextInput,
} from "@mantine/core";
import { IconUserShare } from "@tabler/icons-react";
import { Link, useParams } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import type { Member, SuperOrganisation } from "../../api/types";
import { since } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { More } from "../../ui/More";
import { done, failed } from "../../ui/notify";
import { Page } from "../../ui/Page";
import { Section } from "../../ui/Section";
import { Loaded } from "../../ui/states";
import { useMe } from "./api";
import { LimitInputs } from "./LimitFields";
import { fromFields, toFields } from "./limits";
import { Moves } from "./Moves";
import {
  useImpersonate,
  usePlans,
  useResume,
  useSuperMembers,
  useSuperOrganisation,
  useSuperUpdate,
  useSuspend,
} from "./superApi";

/** One organisation, for those who run the installation. */
export function SuperOrganisationPage() {
  const { organisationId } = useParams({ from: "/app/super/$organisationId" });
  const organisation = useSuperOrganisation(organisationId);
  return (
    <Page
      title={organisation.data?.name ?? "Organisation"}
      lead={organisation.data && <Lead o={organisation.data} />}
      above={
        <Anchor component={Link} to="/super" size="sm">
          ← Organisations
        </Anchor>
      }
      actions={organisation.data && <Standing o={organisation.data} />}
    >
      <Loaded query={organisation}>
        {(o) => (
          <Stack gap="lg">
            {o.suspendedAt && (
              <Alert color="red" variant="light" title={`Suspended since ${since(o.suspendedAt)}`}>
                {o.suspendedReason}
              </Alert>
            )}
            <Settings key={`${o.id}${o.plan?.id}`} o={o} />
            <Moves o={o} />
            <People o={o} />
          </Stack>
        )}
      </Loaded>
    </Page>
  );
}

function Lead({ o }: { o: SuperOrganisation }) {
  return (
    <>
      {o.placement === "own" ? "A database of its own" : "In the shared database"}
      {o.region && `, region ${o.region}`} · since {since(o.createdAt)}
    </>
  );
}

function Standing({ o }: { o: SuperOrganisation }) {
  const resume = useResume();
  const suspend = useSuspend();
  const [asking, ask] = useState(false);
  if (o.suspendedAt) {
    return (
      <Button
        variant="default"
        loading={resume.isPending}
        onClick={() => resume.mutate(o.id, { onSuccess: () => done(`${o.name} may work again.`), onError: failed })}
      >
        End the suspension
      </Button>
    );
  }
  return (
    <>
      <Button variant="default" onClick={() => ask(true)}>
        Suspend
      </Button>
      <WithReason
        opened={asking}
        close={() => ask(false)}
        title={`Suspend ${o.name}?`}
        text="Its people, API tokens, phones and calls are kept out until you end it. They see the reason."
        action="Suspend"
        busy={suspend.isPending}
        run={(reason) =>
          suspend.mutate(
            { id: o.id, reason },
            {
              onSuccess: () => {
                ask(false);
                done(`${o.name} is suspended.`);
              },
              onError: failed,
            },
          )
        }
      />
    </>
  );
}

function WithReason(props: {
  opened: boolean;
  close: () => void;
  title: string;
  text: string;
  action: string;
  busy: boolean;
  run: (reason: string) => void;
}) {
  const [reason, setReason] = useState("");
  const submit = (e: FormEvent) => {
    e.preventDefault();
    props.run(reason.trim());
  };
  return (
    <Modal opened={props.opened} onClose={props.close} title={props.title}>
      <form onSubmit={submit}>
        <Stack>
          <Text size="sm">{props.text}</Text>
          <Textarea
            label="Reason"
            required
            maxLength={500}
            autosize
            minRows={2}
            data-autofocus
            value={reason}
            onChange={(e) => setReason(e.currentTarget.value)}
          />
          <Group justify="flex-end">
            <Button variant="default" onClick={props.close}>
              Cancel
            </Button>
            <Button type="submit" color="red.8" loading={props.busy} disabled={!reason.trim()}>
              {props.action}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

function Settings({ o }: { o: SuperOrganisation }) {
  const plans = usePlans();
  const update = useSuperUpdate();
  const [name, setName] = useState(o.name);
  const [planId, setPlan] = useState(o.plan?.id ?? "");
  const [limits, setLimits] = useState(toFields(o.ownLimits));
  const submit = (e: FormEvent) => {
    e.preventDefault();
    update.mutate(
      { id: o.id, name: name.trim(), planId, limits: fromFields(limits) },
      { onSuccess: () => done("Saved. It counts within a minute."), onError: failed },
    );
  };
  return (
    <Section title="Plan and limits" lead="Its own limits go before those of its plan.">
      <form onSubmit={submit}>
        <Stack>
          <Group grow align="flex-start">
            <TextInput
              label="Name"
              required
              maxLength={120}
              value={name}
              onChange={(e) => setName(e.currentTarget.value)}
            />
            <Select
              label="Plan"
              placeholder="None"
              clearable
              data={(plans.data?.items ?? []).map((p) => ({ value: p.id, label: p.name }))}
              value={planId || null}
              onChange={(v) => setPlan(v ?? "")}
            />
          </Group>
          <LimitInputs
            value={limits}
            use={o.use}
            onChange={setLimits}
            placeholder={planId ? "As the plan says" : "No limit"}
          />
          <Group>
            <Button type="submit" loading={update.isPending} disabled={!name.trim()}>
              Save
            </Button>
          </Group>
        </Stack>
      </form>
    </Section>
  );
}

function People({ o }: { o: SuperOrganisation }) {
  const { data: me } = useMe();
  const members = useSuperMembers(o.id);
  const impersonate = useImpersonate();
  const [as, actAs] = useState<Member | null>(null);
  return (
    <Section
      title="People"
      lead="To help somebody you can act as them for an hour. Their audit trail names both of you."
    >
      <Loaded query={members} rows={2}>
        {(data) => (
          <Listing minWidth={460}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Name</Table.Th>
                <Table.Th>Role</Table.Th>
                <Table.Th aria-label="Actions" />
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {data.items.map((m) => (
                <Table.Tr key={m.userId}>
                  <Table.Td>
                    <Group gap="xs">
                      <Text fw={600} size="sm">
                        {m.name || m.email}
                      </Text>
                      {m.suspendedAt && <Badge color="red">suspended</Badge>}
                    </Group>
                    <Text size="xs" c="dimmed">
                      {m.email}
                    </Text>
                  </Table.Td>
                  <Table.Td>{m.roleName}</Table.Td>
                  <Table.Td ta="right">
                    {m.userId !== me?.user.id && !m.suspendedAt && !o.suspendedAt && (
                      <Button
                        size="xs"
                        variant="subtle"
                        leftSection={<IconUserShare size={14} />}
                        aria-label={`Act as ${m.name || m.email}`}
                        onClick={() => actAs(m)}
                      >
                        Act as
                      </Button>
                    )}
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Listing>
        )}
      </Loaded>
      <More query={members} />
      <WithReason
        opened={as !== null}
        close={() => actAs(null)}
        title={`Act as ${as?.name || as?.email}?`}
        text={`You see and do what they may in ${o.name}, for at most an hour. The reason stands in the organisation's audit trail.`}
        action="Act as them"
        busy={impersonate.isPending}
        run={(reason) =>
          as &&
          impersonate.mutate(
            { id: o.id, userId: as.userId, reason },
            { onSuccess: () => location.assign("/"), onError: failed },
          )
        }
      />
    </Section>
  );
}
