import { useNavigate, useSearch } from "@tanstack/react-router";
import { Page } from "../../ui/Page";
import { usePlatformLog, usePlatformState } from "./api";
import { Trail } from "./Trail";

/** What was done to the installation itself; no organisation reads it. */
export function PlatformLogPage() {
  const filters = useSearch({ from: "/app/super/log" });
  const navigate = useNavigate({ from: "/super/log" });
  return (
    <Page
      title="Platform log"
      lead="What those who run the installation did, and sign-ins that belong to no organisation. Organisations cannot read it."
    >
      <Trail
        filters={filters}
        narrow={(search) => void navigate({ search, replace: true })}
        entries={usePlatformLog(filters)}
        state={usePlatformState()}
      />
    </Page>
  );
}
