// Light or dark: as the system has it, or as the reader chose, which is remembered.

export type Choice = 'system' | 'light' | 'dark';
const CHOICES: Choice[] = ['system', 'light', 'dark'];
const KEY = 'muster.theme';

export class Theme {
  choice = $state<Choice>('system');
  #system = $state(false);

  constructor() {
    const query = matchMedia('(prefers-color-scheme: dark)');
    this.#system = query.matches;
    query.addEventListener('change', (event) => {
      this.#system = event.matches;
      this.#show();
    });
    this.choice = CHOICES.find((choice) => choice === remembered()) ?? 'system';
    this.#show();
  }

  get dark(): boolean {
    return this.choice === 'system' ? this.#system : this.choice === 'dark';
  }

  next(): void {
    this.choice = CHOICES[(CHOICES.indexOf(this.choice) + 1) % CHOICES.length] ?? 'system';
    try {
      localStorage.setItem(KEY, this.choice);
    } catch {
      // A browser that keeps nothing still shows the choice until the page is closed.
    }
    this.#show();
  }

  #show(): void {
    document.documentElement.dataset.theme = this.dark ? 'dark' : 'light';
  }
}

function remembered(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}
