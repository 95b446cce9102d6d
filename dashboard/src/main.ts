import { mount } from 'svelte';
import App from './App.svelte';
import './app.css';
import { Theme } from './theme.svelte';

const target = document.getElementById('page');
if (target) mount(App, { target, props: { theme: new Theme() } });
