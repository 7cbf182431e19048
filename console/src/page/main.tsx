import { render } from 'preact';
import './styles/theme.css';
import './styles/page.css';
import './styles/parts.css';
import { App } from './view/app.tsx';
import { useConsole } from './use-console.ts';

function Console() {
  const { useToken, ...state } = useConsole();
  return <App {...state} onToken={useToken} />;
}

const place = document.getElementById('console');
if (place === null) throw new Error('the page has no place for the console');
place.replaceChildren();
render(<Console />, place);
