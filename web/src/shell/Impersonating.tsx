import { Button } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { endImpersonation, useMe } from "../features/identity/api";
import { when } from "../ui/format";
import { failed } from "../ui/notify";
import css from "./shell.module.css";

/** Says on every page that somebody acts as another person, and ends it. */
export function Impersonating() {
  const { data: me } = useMe();
  const end = useMutation({
    mutationFn: endImpersonation,
    onSuccess: ({ signedIn }) => location.assign(signedIn ? "/super" : "/sign-in?ended=true"),
    onError: failed,
  });
  if (!me?.impersonatedBy) return null;
  return (
    <section className={css.banner} aria-label="Impersonation">
      <p>
        You act as <strong>{me.user.name || me.user.email}</strong> of <strong>{me.organisation.name}</strong> until{" "}
        {when(me.impersonatedBy.endsAt)}. Reason: {me.impersonatedBy.reason}
      </p>
      <Button size="xs" color="dark.7" loading={end.isPending} onClick={() => end.mutate()}>
        End
      </Button>
    </section>
  );
}
