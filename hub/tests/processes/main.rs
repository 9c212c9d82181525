//! The program as its users run it: processes, sockets, signals, files.

mod admin;
mod backup;
mod bad_network;
mod chat;
mod command_line;
mod encryption;
mod full_disk;
mod links;
mod node;
mod proxies;
mod relay;
mod roaming;
mod rooms;
mod settings;
mod support;
mod terminal;
mod web;
