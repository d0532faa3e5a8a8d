import { Alert, Button, Center, Group, Skeleton, Stack, Text, ThemeIcon, Title } from "@mantine/core";
import { IconAlertTriangle, IconLock, IconRefresh } from "@tabler/icons-react";
import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { ApiError, messageOf } from "../api/client";

/** Shows a query in each of its states: loading, no permission, failed with a way to try again, and there. */
export function Loaded<T>(props: {
  query: UseQueryResult<T>;
  rows?: number;
  skeleton?: ReactNode;
  children: (data: T) => ReactNode;
}) {
  const { query } = props;
  if (query.data !== undefined) return <>{props.children(query.data)}</>;
  if (query.isError) return <Failed error={query.error} retry={() => query.refetch()} busy={query.isFetching} />;
  return <>{props.skeleton ?? <Rows n={props.rows ?? 4} />}</>;
}

export function Rows({ n, height = 44 }: { n: number; height?: number }) {
  return (
    <Stack gap="sm" aria-busy="true" aria-label="Loading">
      {Array.from({ length: n }, (_, i) => (
        <Skeleton key={`row-${i.toString()}`} height={height} radius="md" />
      ))}
    </Stack>
  );
}

export function Failed({ error, retry, busy }: { error: unknown; retry?: () => void; busy?: boolean }) {
  const status = error instanceof ApiError ? error.status : undefined;
  if (status === 403) {
    return (
      <Empty
        icon={<IconLock size={22} />}
        title="You may not see this"
        text={`${messageOf(error)} Ask an owner or administrator of your organisation.`}
      />
    );
  }
  return (
    <Alert
      color="red"
      radius="lg"
      variant="light"
      icon={<IconAlertTriangle size={20} />}
      title={status === 404 ? "Not found" : "That did not work"}
      role="alert"
    >
      <Group justify="space-between" align="center">
        <Text size="sm">{messageOf(error)}</Text>
        {retry && status !== 404 && (
          <Button size="xs" variant="default" leftSection={<IconRefresh size={14} />} onClick={retry} loading={busy}>
            Try again
          </Button>
        )}
      </Group>
    </Alert>
  );
}

export function Empty(props: { icon?: ReactNode; title: string; text: ReactNode; action?: ReactNode }) {
  return (
    <Center py={48} px="md">
      <Stack align="center" gap="xs" maw={440}>
        {props.icon && (
          <ThemeIcon size={48} radius="xl" variant="light" mb="xs">
            {props.icon}
          </ThemeIcon>
        )}
        <Title order={2} size="h3" ta="center">
          {props.title}
        </Title>
        <Text c="dimmed" ta="center" size="sm">
          {props.text}
        </Text>
        {props.action && <Group mt="sm">{props.action}</Group>}
      </Stack>
    </Center>
  );
}
