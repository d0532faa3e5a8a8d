import { Alert, Button, Stack, Text } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { messageOf } from "../../api/client";
import { Door } from "./Door";
import { useFragment } from "./fragment";
import { startSSOTest } from "./ssoApi";

/** What the link of a trial sign-in opens: the identity provider is asked, and nobody is signed in here. */
export function TrySignOnPage() {
  const token = useFragment("token");
  const go = useMutation({
    mutationFn: async () => location.assign((await startSSOTest(token)).redirectUrl),
  });
  if (!token) {
    return (
      <Door title="This link is not whole" lead="Part of the address is missing.">
        <Text size="sm">Make a new one: Settings, Single sign-on, Test the connection.</Text>
      </Door>
    );
  }
  return (
    <Door title="Try to sign in" lead="Nobody is signed in by it, and nothing is changed.">
      <Stack>
        {go.isError && (
          <Alert variant="light" color="red" role="alert">
            {messageOf(go.error)}
          </Alert>
        )}
        <Text size="sm">You sign in at the identity provider, and then see what it said. The link works once.</Text>
        <Button loading={go.isPending || go.isSuccess} onClick={() => go.mutate()} fullWidth>
          Go to the identity provider
        </Button>
      </Stack>
    </Door>
  );
}
