import type { TargetedSubmitEvent } from 'preact';

/** Asks for a token. It stays in this page's memory, and goes nowhere but to the console. */
export function SignIn({ reason, onToken }: { readonly reason: string; readonly onToken: (token: string) => void }) {
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const token = new FormData(event.currentTarget).get('token');
    if (typeof token === 'string' && token.trim() !== '') onToken(token);
  };
  return (
    <main class="sign-in">
      <section class="panel">
        <h1>Who looks?</h1>
        <p>
          This console shows clusters to who may <code>get auroraclusters</code>. Paste a token of such an account; it is held in this
          page’s memory until you close it.
        </p>
        <p class="message" role="status">
          {reason}
        </p>
        <form onSubmit={submit}>
          <label for="token">Token</label>
          <input id="token" name="token" type="password" autoComplete="off" spellcheck={false} required />
          <button type="submit">Look</button>
        </form>
        <p class="quiet">
          One is made with <code>kubectl create token ACCOUNT --duration=1h</code>
        </p>
      </section>
    </main>
  );
}
