/** Passkeys as the browser makes and uses them (WebAuthn Level 3, section 5.1). */

export const passkeysHere = () =>
  typeof PublicKeyCredential !== "undefined" && "parseCreationOptionsFromJSON" in PublicKeyCredential;

/** Asks the device for a new passkey. Gives it as JSON for the server. */
export async function makePasskey(options: unknown): Promise<unknown> {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options as PublicKeyCredentialCreationOptionsJSON);
  return taken(await guarded(navigator.credentials.create({ publicKey })));
}

/** Asks the device to prove itself with a passkey. */
export async function readPasskey(options: unknown): Promise<unknown> {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options as PublicKeyCredentialRequestOptionsJSON);
  return taken(await guarded(navigator.credentials.get({ publicKey })));
}

function taken(credential: Credential | null): unknown {
  if (credential instanceof PublicKeyCredential) return credential.toJSON();
  throw new Error("The browser gave no passkey. Try again.");
}

/** Says in plain words why a passkey did not come about. Browsers tell little, on purpose. */
async function guarded<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    throw new Error(whyNot(error));
  }
}

export function whyNot(error: unknown): string {
  const name = error instanceof Error ? error.name : "";
  switch (name) {
    case "NotAllowedError":
      return "No passkey was used: it was cancelled, or it took too long. Try again.";
    case "InvalidStateError":
      return "This device has a passkey of yours already.";
    case "SecurityError":
      return "Passkeys do not work at this address. Open the page by its name, with https.";
    case "NotSupportedError":
      return "This device cannot make a passkey of the kind that is needed.";
  }
  return error instanceof Error && error.message ? error.message : "The passkey could not be used.";
}
