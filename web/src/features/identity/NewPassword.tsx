import { PasswordInput, type PasswordInputProps, Progress, Text } from "@mantine/core";
import { strength } from "./password";

const colours = ["gray", "red", "orange", "pine", "pine"] as const;

/** A field for a new password, which says how hard it is to guess. */
export function NewPassword({ personal = [], ...props }: PasswordInputProps & { personal?: string[] }) {
  const s = strength(String(props.value ?? ""), ...personal);
  return (
    <div>
      <PasswordInput
        label="Password"
        autoComplete="new-password"
        required
        aria-describedby="password-hint"
        {...props}
      />
      <Progress value={s.score * 25} color={colours[s.score]} size={4} mt={8} aria-label="Strength of the password" />
      <Text id="password-hint" size="xs" c="dimmed" mt={4} aria-live="polite">
        {s.hint}
      </Text>
    </div>
  );
}
