import { Anchor, Stack, Switch, Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { confirm, done, failed } from "../../ui/notify";
import { Page } from "../../ui/Page";
import { Section } from "../../ui/Section";
import { Loaded } from "../../ui/states";
import { useMay } from "./api";
import { useSetSignOnPolicy, useSignOnPolicy } from "./organisationApi";

/** What the organisation asks of those who sign in. */
export function SecurityPage() {
  const may = useMay();
  const policy = useSignOnPolicy();
  const set = useSetSignOnPolicy();
  const change = (on: boolean) =>
    set.mutate(on, { onSuccess: () => done(on ? "Everybody needs a second factor now." : "Saved."), onError: failed });
  return (
    <Page title="Security" lead="What is asked of those who sign in.">
      <Section title="Second factor">
        <Loaded query={policy} rows={2}>
          {(data) => (
            <Stack>
              <Switch
                label="Everybody needs a second factor"
                description="Who has none may do nothing but add one. Who comes through single sign-on is exempt: the provider's rules count."
                checked={data.mfaRequired}
                disabled={!may("organisation:update") || set.isPending}
                onChange={(e) => {
                  const on = e.currentTarget.checked;
                  if (on && data.withoutFactor > 0) {
                    confirm({
                      title: "Ask for a second factor?",
                      text: `${data.withoutFactor} of your people have none. From now on they can do nothing else before they add one; you too, if you are among them.`,
                      action: "Ask for it",
                      onConfirm: () => change(true),
                    });
                  } else change(on);
                }}
              />
              <Text size="sm" c="dimmed">
                {data.withoutFactor === 0
                  ? "Everybody has one already."
                  : data.withoutFactor === 1
                    ? "One person has no second factor."
                    : `${data.withoutFactor} people have no second factor.`}{" "}
                Yours is under{" "}
                <Anchor component={Link} to="/account" underline="always" size="sm">
                  your account
                </Anchor>
                .
              </Text>
            </Stack>
          )}
        </Loaded>
      </Section>
    </Page>
  );
}
