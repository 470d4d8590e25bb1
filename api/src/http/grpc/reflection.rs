//! `grpc.reflection.v1.ServerReflection`: the service's own descriptors, for tools.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
    sync::LazyLock,
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use prost::Message;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet,
    MethodDescriptorProto,
};
use tonic::{Code, Request, Response, Status, Streaming};

use super::{
    call::{Answer, Call},
    pb::grpc::reflection::v1::{
        ErrorResponse, ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse,
        ServerReflectionRequest, ServerReflectionResponse, ServiceResponse,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    },
    services::reflection::server_reflection_server::ServerReflection,
};

/// What the service was built from.
pub static FILES: LazyLock<Files> = LazyLock::new(|| {
    let bytes = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
    let set = FileDescriptorSet::decode(bytes.as_slice()).expect("build.rs wrote it");
    Files::of(set)
});

/// Files with the names in them.
pub struct Files {
    files: Vec<FileDescriptorProto>,
    /// Full names, without a dot in front, and the file that has each.
    symbols: BTreeMap<String, usize>,
    messages: BTreeSet<String>,
}

impl Files {
    fn of(set: FileDescriptorSet) -> Self {
        let mut files = Self {
            files: set.file,
            symbols: BTreeMap::new(),
            messages: BTreeSet::new(),
        };
        for index in 0..files.files.len() {
            let file = files.files[index].clone();
            let package = file.package();
            files.add_messages(index, package, &file.message_type);
            files.add_enums(index, package, &file.enum_type);
            for service in &file.service {
                let name = files.add(index, package, service.name());
                for method in &service.method {
                    files.add(index, &name, method.name());
                }
            }
        }
        files
    }

    fn add(&mut self, index: usize, parent: &str, name: &str) -> String {
        let name = format!("{parent}.{name}");
        self.symbols.insert(name.clone(), index);
        name
    }

    fn add_messages(&mut self, index: usize, parent: &str, messages: &[DescriptorProto]) {
        for message in messages {
            let name = self.add(index, parent, message.name());
            self.add_messages(index, &name, &message.nested_type);
            self.add_enums(index, &name, &message.enum_type);
            for field in &message.field {
                self.add(index, &name, field.name());
            }
            for oneof in &message.oneof_decl {
                self.add(index, &name, oneof.name());
            }
            self.messages.insert(name);
        }
    }

    fn add_enums(&mut self, index: usize, parent: &str, enums: &[EnumDescriptorProto]) {
        for one in enums {
            let name = self.add(index, parent, one.name());
            for value in &one.value {
                self.add(index, &name, value.name());
                // Values are also names beside their enumeration.
                self.add(index, parent, value.name());
            }
        }
    }

    /// Each service's full name and methods.
    pub fn services(&self) -> impl Iterator<Item = (String, &[MethodDescriptorProto])> {
        self.files.iter().flat_map(|file| {
            let services = file.service.iter();
            services.map(|service| {
                let name = format!("{}.{}", file.package(), service.name());
                (name, service.method.as_slice())
            })
        })
    }

    fn answer(&self, asked: &MessageRequest) -> MessageResponse {
        match asked {
            MessageRequest::FileByFilename(name) => {
                let file = self.files.iter().position(|file| file.name() == name);
                self.file(file)
            }
            MessageRequest::FileContainingSymbol(name) => {
                self.file(self.symbols.get(name.as_str()).copied())
            }
            // Nothing is extended here.
            MessageRequest::FileContainingExtension(_) => not_found(),
            MessageRequest::AllExtensionNumbersOfType(name) => {
                if !self.messages.contains(name) {
                    return not_found();
                }
                MessageResponse::AllExtensionNumbersResponse(ExtensionNumberResponse {
                    base_type_name: name.clone(),
                    extension_number: Vec::new(),
                })
            }
            MessageRequest::ListServices(_) => {
                let services = self.services().map(|(name, _)| ServiceResponse { name });
                let service = services.collect();
                MessageResponse::ListServicesResponse(ListServiceResponse { service })
            }
        }
    }

    /// The file, which imports no other.
    fn file(&self, index: Option<usize>) -> MessageResponse {
        let Some(index) = index else {
            return not_found();
        };
        MessageResponse::FileDescriptorResponse(FileDescriptorResponse {
            file_descriptor_proto: vec![Bytes::from(self.files[index].encode_to_vec())],
        })
    }
}

fn not_found() -> MessageResponse {
    error(Code::NotFound, "there is nothing of that name")
}

fn error(code: Code, message: &str) -> MessageResponse {
    MessageResponse::ErrorResponse(ErrorResponse {
        error_code: code.into(),
        error_message: message.to_owned(),
    })
}

/// The method.
pub struct ReflectionMethods;

#[tonic::async_trait]
impl ServerReflection for ReflectionMethods {
    type ServerReflectionInfoStream =
        Pin<Box<dyn Stream<Item = Result<ServerReflectionResponse, Status>> + Send>>;

    async fn server_reflection_info(
        &self,
        request: Request<Streaming<ServerReflectionRequest>>,
    ) -> Answer<Self::ServerReflectionInfoStream> {
        let (call, questions) = Call::of(request);
        let answers = stream::unfold(Some(questions), move |questions| {
            let call = call.clone();
            async move {
                let mut questions = questions?;
                let mut draining = call.app.gateway.draining.clone();
                let question = tokio::select! {
                    question = questions.message() => question,
                    _ = draining.wait_for(|draining| *draining) => Ok(None),
                };
                let asked = match question {
                    Ok(asked) => asked?,
                    Err(status) => return Some((Err(status), None)),
                };
                drop(call.in_memory.take_first());
                let answer = match &asked.message_request {
                    Some(question) => FILES.answer(question),
                    None => error(Code::InvalidArgument, "nothing is asked"),
                };
                let response = ServerReflectionResponse {
                    valid_host: asked.host.clone(),
                    original_request: Some(asked),
                    message_response: Some(answer),
                };
                Some((Ok(response), Some(questions)))
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }
}
